"""The agent `datetime`."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, Example, KnownError, capability

from runtara_agents_transform.dates.patterns import PatternError, formatted
from runtara_agents_transform.dates.reading import (
    DATE_ERROR,
    RANGE_ERROR,
    ZONE_ERROR,
    from_timestamp,
    iso_text,
    read_date,
    read_zone,
)

__all__ = ["datetime_agent"]

FORMAT_ERROR = "DATETIME_INVALID_FORMAT"

Unit = Literal["years", "months", "weeks", "days", "hours", "minutes", "seconds"]

_SECONDS: dict[str, int] = {
    "years": 365 * 86400,
    "months": 30 * 86400,
    "weeks": 7 * 86400,
    "days": 86400,
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
}

_ERRORS = (
    KnownError.permanent(DATE_ERROR, "An input is no date.", "input"),
    KnownError.permanent(ZONE_ERROR, "The zone is not known.", "timezone"),
    KnownError.permanent(RANGE_ERROR, "The result is before the year 1 or after 9999."),
)


class ZonedInput(BaseModel):
    """In which zone."""

    timezone: str | None = Field(
        default=None,
        description="Europe/Berlin, UTC or +02:00: of the result, and of dates that say none.",
        examples=["Europe/Berlin"],
    )


class DateInput(ZonedInput):
    """A date."""

    date: str | int | float = Field(
        title="Date",
        description="ISO 8601, RFC 2822, month/day/year, day.month.year, or seconds or milliseconds since 1970.",
        examples=["2026-11-27T09:30:00Z"],
    )

    def moment(self) -> datetime:
        """The date in its zone."""
        return _zoned(self.date, "date", self.timezone)


class CurrentInput(ZonedInput):
    """In which form."""

    include_time: bool = Field(default=True, description="Whether it is a time; the date alone otherwise.")


@capability(
    id="get-current-date",
    display_name="Current Date",
    description="Gives the date, or the time, as in ISO 8601.",
    deterministic=False,
    known_errors=_ERRORS,
    examples=[Example({"timezone": "Europe/Berlin"})],
)
def get_current_date(inputs: CurrentInput, context: CapabilityContext) -> str:
    """The text."""
    now = from_timestamp(context.clock.now_ms(), is_milliseconds=True).astimezone(read_zone(inputs.timezone))
    return iso_text(now) if inputs.include_time else now.date().isoformat()


class FormatInput(DateInput):
    """In which form."""

    format: Literal[
        "iso8601",
        "rfc2822",
        "date-only",
        "time-only",
        "us-short-date",
        "eu-short-date",
        "long-date",
        "date-time",
        "unix",
        "unix-ms",
        "custom",
    ] = Field(default="iso8601", description="The form.")
    custom_format: str | None = Field(
        default=None, description="For `custom`: dd.MM.yyyy HH:mm; texts stand in apostrophes.", examples=["dd.MM.yyyy"]
    )


_FORMS: dict[str, str] = {
    "date-only": "yyyy-MM-dd",
    "time-only": "HH:mm:ss",
    "us-short-date": "MM/dd/yyyy",
    "eu-short-date": "dd/MM/yyyy",
    "long-date": "MMMM d, yyyy",
    "date-time": "yyyy-MM-dd HH:mm:ss",
}


@capability(
    id="format-date",
    display_name="Format Date",
    description="Writes a date in one of many forms, or one of your own.",
    known_errors=(*_ERRORS, KnownError.permanent(FORMAT_ERROR, "The custom format is missing or malformed.")),
    examples=[
        Example(
            {
                "date": "2026-07-01T22:30:00Z",
                "format": "custom",
                "customFormat": "d MMM yyyy HH:mm ZZ",
                "timezone": "Europe/Berlin",
            },
            output="2 Jul 2026 00:30 +02:00",
        )
    ],
)
def format_date(inputs: FormatInput) -> str:
    """The text."""
    moment = inputs.moment()
    if inputs.format == "iso8601":
        return iso_text(moment)
    if inputs.format == "rfc2822":
        return format_datetime(moment)
    if inputs.format == "unix":
        return str(int(moment.timestamp() // 1))
    if inputs.format == "unix-ms":
        return str(_milliseconds(moment))
    pattern = inputs.custom_format if inputs.format == "custom" else _FORMS[inputs.format]
    if pattern is None:
        raise AgentError.permanent(FORMAT_ERROR, "format custom needs custom_format")
    try:
        return formatted(moment, pattern)
    except PatternError as error:
        raise AgentError.permanent(FORMAT_ERROR, f"custom_format: {error}") from None


class AddInput(DateInput):
    """How much is added."""

    amount: int = Field(default=0, ge=-(10**9), le=10**9, description="How many of the unit.")
    unit: Unit = Field(default="days", description="Days and what is longer keep the time of day across clock changes.")


@capability(
    id="add-to-date",
    display_name="Add to Date",
    description="Gives the date so much later; the day of a shorter month is its last.",
    known_errors=_ERRORS,
    examples=[
        Example({"date": "2026-01-31T10:00:00Z", "amount": 1, "unit": "months"}, output="2026-02-28T10:00:00Z"),
        Example(
            {"date": "2026-03-28T12:00:00", "amount": 1, "unit": "days", "timezone": "Europe/Berlin"},
            output="2026-03-29T12:00:00+02:00",
        ),
    ],
)
def add_to_date(inputs: AddInput) -> str:
    """The date."""
    return iso_text(_added(inputs.moment(), inputs.amount, inputs.unit))


@capability(
    id="subtract-from-date",
    display_name="Subtract from Date",
    description="Gives the date so much earlier; the day of a shorter month is its last.",
    known_errors=_ERRORS,
    examples=[Example({"date": "2026-03-31", "amount": 1, "unit": "months"}, output="2026-02-28T00:00:00Z")],
)
def subtract_from_date(inputs: AddInput) -> str:
    """The date."""
    return iso_text(_added(inputs.moment(), -inputs.amount, inputs.unit))


class BetweenInput(ZonedInput):
    """From when to when."""

    start_date: str | int | float = Field(description="The one date.")
    end_date: str | int | float = Field(description="The other one.")
    unit: Unit = Field(default="days", description="A year counts 365 days, a month 30.")


class BetweenOutput(BaseModel):
    """The time between."""

    difference: int = Field(description="Whole units; negative when the end comes first.")
    unit: str
    exact_ms: int = Field(serialization_alias="exactMs", description="Milliseconds.")


@capability(
    id="get-time-between",
    display_name="Time Between",
    description="Tells how much time lies between two dates.",
    known_errors=_ERRORS,
    examples=[
        Example(
            {"startDate": "2026-01-01", "endDate": "2026-01-03T12:00:00Z"},
            output={"difference": 2, "unit": "days", "exactMs": 216000000},
        )
    ],
)
def get_time_between(inputs: BetweenInput) -> BetweenOutput:
    """The difference."""
    begin = _zoned(inputs.start_date, "start_date", inputs.timezone)
    end = _zoned(inputs.end_date, "end_date", inputs.timezone)
    exact_ms = _milliseconds(end) - _milliseconds(begin)
    whole = abs(exact_ms) // (_SECONDS[inputs.unit] * 1000)
    return BetweenOutput(difference=whole if exact_ms >= 0 else -whole, unit=inputs.unit, exact_ms=exact_ms)


class PartInput(DateInput):
    """Which part."""

    part: Literal[
        "day",
        "year",
        "month",
        "week",
        "day-of-week",
        "day-of-year",
        "hour",
        "minute",
        "second",
        "millisecond",
        "quarter",
    ] = Field(default="day", description="`week` as in ISO 8601; `day-of-week` from Monday, 1.")


_PARTS: dict[str, Callable[[datetime], int]] = {
    "day": lambda m: m.day,
    "year": lambda m: m.year,
    "month": lambda m: m.month,
    "week": lambda m: m.isocalendar().week,
    "day-of-week": lambda m: m.isoweekday(),
    "day-of-year": lambda m: m.timetuple().tm_yday,
    "hour": lambda m: m.hour,
    "minute": lambda m: m.minute,
    "second": lambda m: m.second,
    "millisecond": lambda m: m.microsecond // 1000,
    "quarter": lambda m: (m.month + 2) // 3,
}


@capability(
    id="extract-date-part",
    display_name="Extract Date Part",
    description="Gives one part of a date as a number.",
    known_errors=_ERRORS,
    examples=[Example({"date": "2026-11-27", "part": "quarter"}, output=4)],
)
def extract_date_part(inputs: PartInput) -> int:
    """The number."""
    return _PARTS[inputs.part](inputs.moment())


class RoundInput(DateInput):
    """How it is rounded."""

    unit: Unit = Field(default="days", description="Weeks begin on Monday.")
    mode: Literal["round", "floor", "ceil"] = Field(default="round", description="To the nearest, before or after.")


@capability(
    id="round-date",
    display_name="Round Date",
    description="Gives the beginning of the unit that is nearest, before or after.",
    known_errors=_ERRORS,
    examples=[
        Example({"date": "2026-11-27T09:30:00Z", "unit": "hours", "mode": "ceil"}, output="2026-11-27T10:00:00Z")
    ],
)
def round_date(inputs: RoundInput) -> str:
    """The date."""
    moment = inputs.moment()
    before = _floor(moment, inputs.unit)
    if before == moment or inputs.mode == "floor":
        return iso_text(before)
    after = _floor(_added(before, 1, inputs.unit), inputs.unit)
    if inputs.mode == "ceil":
        return iso_text(after)
    passed, left = moment.timestamp() - before.timestamp(), after.timestamp() - moment.timestamp()
    return iso_text(after if passed >= left else before)


class ToUnixInput(DateInput):
    """In which unit."""

    milliseconds: bool = Field(default=False, description="Whether milliseconds are wanted; seconds otherwise.")


class ToUnixOutput(BaseModel):
    """A timestamp."""

    timestamp: int = Field(description="Since 1970.")
    is_milliseconds: bool = Field(serialization_alias="isMilliseconds")


@capability(
    id="date-to-unix",
    display_name="Date to Unix",
    description="Gives seconds or milliseconds since 1970.",
    known_errors=_ERRORS,
    examples=[Example({"date": "1970-01-02"}, output={"timestamp": 86400, "isMilliseconds": False})],
)
def date_to_unix(inputs: ToUnixInput) -> ToUnixOutput:
    """The timestamp."""
    milliseconds = _milliseconds(inputs.moment())
    timestamp = milliseconds if inputs.milliseconds else milliseconds // 1000
    return ToUnixOutput(timestamp=timestamp, is_milliseconds=inputs.milliseconds)


class FromUnixInput(ZonedInput):
    """A timestamp."""

    timestamp: int | float = Field(description="Since 1970.", examples=[86400])
    is_milliseconds: bool | None = Field(
        default=None, description="Whether it counts milliseconds; large numbers do when it is not said."
    )


@capability(
    id="unix-to-date",
    display_name="Unix to Date",
    description="Gives the date of a timestamp as in ISO 8601.",
    known_errors=_ERRORS,
    examples=[Example({"timestamp": 86400}, output="1970-01-02T00:00:00Z")],
)
def unix_to_date(inputs: FromUnixInput) -> str:
    """The date."""
    zone = read_zone(inputs.timezone)
    try:
        return iso_text(from_timestamp(inputs.timestamp, is_milliseconds=inputs.is_milliseconds).astimezone(zone))
    except (OverflowError, ValueError):
        raise _out_of_range() from None


def _zoned(value: Any, name: str, zone_name: str | None) -> datetime:
    zone = read_zone(zone_name)
    moment = read_date(value, name, zone)
    try:
        return moment.astimezone(zone) if zone_name is not None else moment
    except (OverflowError, ValueError):
        raise _out_of_range() from None


def _added(moment: datetime, amount: int, unit: str) -> datetime:
    try:
        if unit in ("years", "months"):
            months = moment.year * 12 + moment.month - 1 + amount * (12 if unit == "years" else 1)
            year, month = divmod(months, 12)
            day = min(moment.day, calendar.monthrange(year, month + 1)[1])
            return _existing(moment.replace(year=year, month=month + 1, day=day))
        if unit in ("weeks", "days"):
            return _existing(moment + timedelta(days=amount * (7 if unit == "weeks" else 1)))
        return (moment.astimezone(UTC) + timedelta(seconds=amount * _SECONDS[unit])).astimezone(moment.tzinfo)
    except (OverflowError, ValueError, calendar.IllegalMonthError):
        raise _out_of_range() from None


def _existing(moment: datetime) -> datetime:
    """A time that a clock change leaves out becomes the one behind the gap."""
    return moment.astimezone(UTC).astimezone(moment.tzinfo)


def _floor(moment: datetime, unit: str) -> datetime:
    if unit == "seconds":
        return moment.replace(microsecond=0)
    if unit == "minutes":
        return moment.replace(second=0, microsecond=0)
    if unit == "hours":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "weeks":
        return _added(day, -day.weekday(), "days")
    if unit == "months":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if unit == "years" else day


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _out_of_range() -> AgentError:
    return AgentError.permanent(RANGE_ERROR, "the result is before the year 1 or after the year 9999")


datetime_agent = AgentDefinition(
    id="datetime",
    name="DateTime",
    description="Reads, writes, shifts and compares dates.",
    category="data",
    capabilities=[
        get_current_date,
        format_date,
        add_to_date,
        subtract_from_date,
        get_time_between,
        extract_date_part,
        round_date,
        date_to_unix,
        unix_to_date,
    ],
)
