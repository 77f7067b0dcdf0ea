"""The agents `datetime`, `utils` and `crypto` beyond their examples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_transform import crypto_agent, datetime_agent, utils_agent
from runtara_sdk.agents import AgentDefinition, AgentError

BERLIN = "Europe/Berlin"


async def run(agent: AgentDefinition, capability: str, **inputs: Any) -> Any:
    return await agent.invoke(capability, inputs)


DATES: list[tuple[str, dict[str, Any], Any]] = [
    ("format-date", {"date": 0}, "1970-01-01T00:00:00Z"),
    ("format-date", {"date": 1_764_230_400_000, "format": "date-only"}, "2025-11-27"),
    ("format-date", {"date": "Fri, 27 Nov 2026 09:30:00 +0100"}, "2026-11-27T09:30:00+01:00"),
    ("format-date", {"date": "11/12/2026", "format": "long-date"}, "November 12, 2026"),
    ("format-date", {"date": "27/11/2026", "format": "us-short-date"}, "11/27/2026"),
    ("format-date", {"date": "27.11.2026 08:05", "format": "eu-short-date"}, "27/11/2026"),
    ("format-date", {"date": "2026-11-27T09:30:15Z", "format": "time-only", "timezone": "+02:00"}, "11:30:15"),
    ("format-date", {"date": "2026-07-01T12:00:00Z", "timezone": BERLIN}, "2026-07-01T14:00:00+02:00"),
    ("format-date", {"date": "2026-12-01T12:00:00Z", "timezone": BERLIN}, "2026-12-01T13:00:00+01:00"),
    ("format-date", {"date": "2026-11-27", "format": "unix"}, "1795737600"),
    ("format-date", {"date": "2026-11-27", "format": "unix-ms"}, "1795737600000"),
    ("format-date", {"date": "2026-11-27", "format": "rfc2822"}, "Fri, 27 Nov 2026 00:00:00 +0000"),
    (
        "format-date",
        {"date": "2026-11-01T15:04:05.678Z", "format": "custom", "custom_format": "EEE do 'of' MMMM hh:mm a SSS W"},
        "Sun 1st of November 03:04 PM 678 44",
    ),
    ("add-to-date", {"date": "2024-02-29", "amount": 1, "unit": "years"}, "2025-02-28T00:00:00Z"),
    ("add-to-date", {"date": "2026-10-24T12:00:00", "amount": 1, "timezone": BERLIN}, "2026-10-25T12:00:00+01:00"),
    (
        "add-to-date",
        {"date": "2026-10-24T12:00:00", "amount": 24, "unit": "hours", "timezone": BERLIN},
        "2026-10-25T11:00:00+01:00",
    ),
    ("add-to-date", {"date": "2026-03-28T02:30:00", "amount": 1, "timezone": BERLIN}, "2026-03-29T03:30:00+02:00"),
    ("subtract-from-date", {"date": "2026-11-27", "amount": 2, "unit": "weeks"}, "2026-11-13T00:00:00Z"),
    (
        "get-time-between",
        {"start_date": "2026-01-02", "end_date": "2026-01-01", "unit": "hours"},
        {"difference": -24, "unit": "hours", "exactMs": -86_400_000},
    ),
    ("extract-date-part", {"date": "2026-01-01", "part": "week"}, 1),
    ("extract-date-part", {"date": "2026-11-29", "part": "day-of-week"}, 7),
    ("extract-date-part", {"date": "2026-12-31", "part": "day-of-year"}, 365),
    ("round-date", {"date": "2026-11-27T12:00:00Z"}, "2026-11-28T00:00:00Z"),
    ("round-date", {"date": "2026-11-27", "unit": "weeks", "mode": "floor"}, "2026-11-23T00:00:00Z"),
    ("round-date", {"date": "2026-11-27", "unit": "months", "mode": "ceil"}, "2026-12-01T00:00:00Z"),
    (
        "date-to-unix",
        {"date": "2026-11-27", "milliseconds": True},
        {"timestamp": 1795737600000, "isMilliseconds": True},
    ),
    ("unix-to-date", {"timestamp": 1795737600, "timezone": "Asia/Tokyo"}, "2026-11-27T09:00:00+09:00"),
    ("unix-to-date", {"timestamp": 1, "isMilliseconds": True}, "1970-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("capability", "inputs", "expected"), DATES)
async def test_dates(capability: str, inputs: dict[str, Any], expected: Any) -> None:
    assert await run(datetime_agent, capability, **inputs) == expected


@pytest.mark.parametrize(
    ("capability", "inputs", "code"),
    [
        ("format-date", {"date": "tomorrow"}, "DATETIME_INVALID_DATE"),
        ("format-date", {"date": "31.02.2026"}, "DATETIME_INVALID_DATE"),
        ("format-date", {"date": "13/13/2026"}, "DATETIME_INVALID_DATE"),
        ("format-date", {"date": 0, "timezone": "Mars/Base"}, "DATETIME_INVALID_TIMEZONE"),
        ("format-date", {"date": 0, "format": "custom"}, "DATETIME_INVALID_FORMAT"),
        ("format-date", {"date": 0, "format": "custom", "custom_format": "'x"}, "DATETIME_INVALID_FORMAT"),
        ("add-to-date", {"date": 0, "amount": 10**9, "unit": "years"}, "DATETIME_OUT_OF_RANGE"),
        ("subtract-from-date", {"date": "0001-01-01", "amount": 1}, "DATETIME_OUT_OF_RANGE"),
        ("unix-to-date", {"timestamp": 1e300}, "DATETIME_OUT_OF_RANGE"),
    ],
)
async def test_dates_that_are_refused(capability: str, inputs: dict[str, Any], code: str) -> None:
    with pytest.raises(AgentError) as caught:
        await run(datetime_agent, capability, **inputs)
    assert caught.value.code == code


MOMENTS = st.datetimes(datetime.fromisoformat("1970-01-01"), datetime.fromisoformat("2100-01-01")).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(MOMENTS, st.integers(-10_000, 10_000), st.sampled_from(["days", "weeks", "hours", "minutes", "seconds"]))
async def test_adding_is_undone_by_subtracting(moment: datetime, amount: int, unit: str) -> None:
    text = moment.isoformat() + "Z"
    later = await run(datetime_agent, "add-to-date", date=text, amount=amount, unit=unit)
    assert await run(datetime_agent, "subtract-from-date", date=later, amount=amount, unit=unit) == text
    between = await run(datetime_agent, "get-time-between", startDate=text, endDate=later, unit=unit)
    assert between["difference"] == amount


@given(MOMENTS, st.sampled_from([None, BERLIN, "America/New_York", "+05:30"]))
async def test_timestamps_are_undone(moment: datetime, zone: str | None) -> None:
    stamp = await run(datetime_agent, "date-to-unix", date=moment.isoformat(), timezone=zone)
    text = await run(datetime_agent, "unix-to-date", timestamp=stamp["timestamp"], timezone=zone, isMilliseconds=False)
    again = datetime.fromisoformat(text)
    assert again.timestamp() == stamp["timestamp"]
    assert abs(again.replace(tzinfo=None) - moment) <= timedelta(hours=1)  # an hour that does not exist moves on


@given(MOMENTS, st.sampled_from(["years", "months", "weeks", "days", "hours"]))
async def test_rounding_stays_within_its_unit(moment: datetime, unit: str) -> None:
    async def rounded(mode: str) -> datetime:
        text = await run(datetime_agent, "round-date", date=moment.isoformat(), unit=unit, mode=mode)
        return datetime.fromisoformat(text)

    before, nearest, after = await rounded("floor"), await rounded("round"), await rounded("ceil")
    exact = moment.replace(tzinfo=UTC)
    assert before <= exact <= after
    assert nearest in (before, after)
    assert await rounded("floor") == before


# utils


@pytest.mark.parametrize(
    ("expression", "variables", "expected"),
    [
        ("1 + 2 * 3", {}, 7),
        ("(1 + 2) * 3", {}, 9),
        ("-2 - -3", {}, 1),
        ("0.1 + 0.2", {}, 0.3),
        ("7 % 4", {}, 3),
        ("10 / 4", {}, 2.5),
        ("a_1 * b", {"a_1": "2.5", "b": 4}, 10),
        ("1e3", {}, 1000),
        ("12345678901234567890 + 1", {}, 12345678901234567891),
    ],
)
async def test_calculations(expression: str, variables: dict[str, Any], expected: Any) -> None:
    result = await run(utils_agent, "calculate", expression=expression, variables=variables)
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("1 / 0", "UTILS_DIVISION_BY_ZERO"),
        ("1 % 0", "UTILS_DIVISION_BY_ZERO"),
        ("x", "UTILS_UNKNOWN_VARIABLE"),
        ("text", "UTILS_UNKNOWN_VARIABLE"),
        ("", "UTILS_EXPRESSION_ERROR"),
        ("1 +", "UTILS_EXPRESSION_ERROR"),
        ("(1", "UTILS_EXPRESSION_ERROR"),
        ("1 2", "UTILS_EXPRESSION_ERROR"),
        ("__import__('os')", "UTILS_UNKNOWN_VARIABLE"),
        ("(" * 500 + "1" + ")" * 500, "UTILS_EXPRESSION_ERROR"),
        ("9" * 9000 + "*1", "UTILS_EXPRESSION_ERROR"),
    ],
)
async def test_calculations_that_are_refused(expression: str, code: str) -> None:
    with pytest.raises(AgentError) as caught:
        await run(utils_agent, "calculate", expression=expression, variables={"text": "x", "no": True})
    assert caught.value.code == code


async def test_rounded_calculations() -> None:
    inputs = {"expression": "2.675 * 1", "enable_rounding": True}
    assert await run(utils_agent, "calculate", **inputs) == 2.68
    assert await run(utils_agent, "calculate", **{**inputs, "decimal_places": 0}) == 3


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(1, 10**6))
async def test_calculations_are_those_of_integers(a: int, b: int, c: int) -> None:
    variables = {"a": a, "b": b, "c": c}
    assert (
        await run(utils_agent, "calculate", expression="a * b - (a + b) * c", variables=variables)
        == a * b - (a + b) * c
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Germany", "DE"),
        ("deutschland", "DE"),
        ("USA", "US"),
        ("United Kingdom", "GB"),
        ("Cote d'Ivoire", "CI"),
        ("Frnace", "FR"),
        ("fr", "FR"),
        ("Kosovo", "XK"),
        ("South Korea", "KR"),
    ],
)
async def test_countries(name: str, code: str) -> None:
    assert await run(utils_agent, "country-name-to-iso-code", country_name=name) == code
    assert len(await run(utils_agent, "country-name-to-iso-code", countryName=name, codeType="alpha3")) == 3


@pytest.mark.parametrize("name", ["", "Atlantis the lost", "x", "qqq"])
async def test_countries_that_are_none(name: str) -> None:
    with pytest.raises(AgentError, match="UTILS_COUNTRY_UNKNOWN"):
        await run(utils_agent, "country-name-to-iso-code", country_name=name)


async def test_random_values_are_in_range() -> None:
    assert 0 <= await run(utils_agent, "random-double") < 1
    numbers = await run(utils_agent, "random-array", size=50)
    assert len(numbers) == 50
    assert all(0 <= number <= 50 for number in numbers)
    assert len({await run(utils_agent, "random-string") for _ in range(20)}) == 20
    assert (await run(utils_agent, "random-string", length=5, alphabet="digits")).isdigit()
    assert await run(utils_agent, "passthrough", value=[1]) == [1]


async def test_times() -> None:
    now = await run(utils_agent, "get-current-iso-datetime")
    assert abs(datetime.fromisoformat(now).timestamp() - await run(utils_agent, "get-current-unix-timestamp")) < 5
    assert await run(utils_agent, "get-current-formatted-datetime", format="yyyy") == now[:4]
    with pytest.raises(AgentError, match="UTILS_FORMAT_INVALID"):
        await run(utils_agent, "get-current-formatted-datetime", format="'")


# crypto


async def test_digests() -> None:
    both = [await run(crypto_agent, "hash", data=data) for data in ("abc", {"content": "YWJj"})]
    assert both[0] == both[1]
    digest = await run(crypto_agent, "hash", data="abc", algorithm="md5", output_format="base64")
    assert digest == {"hash": "kAFQmDzST7DWlj99KOF/cg==", "algorithm": "md5", "format": "base64"}
    signed = await run(crypto_agent, "hmac", data="abc", secret="key", algorithm="hmac-sha512")
    assert signed["hash"].startswith("3926a207c8c42b0c41792cbd3e1a1aaaf5f7a25704f62dfc939c4987dd7ce060")
