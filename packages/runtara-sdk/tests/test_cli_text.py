"""Text for people: times, moments, tables; and values that a terminal must not take for commands."""

import json

import pytest
from runtara_sdk import InvalidInputError
from runtara_sdk.cli.ctl.moment_argument import read_moment
from runtara_sdk.cli.text import duration, fields, json_text, one_line, size, table
from runtara_sdk.iso_time import iso_time

NOW_MS = 1_795_764_900_000


def test_times() -> None:
    assert iso_time(NOW_MS + 1) == "2026-11-27T07:35:00.001Z"
    assert iso_time(-5) == "1970-01-01T00:00:00.000Z"
    assert iso_time(2**62) == "9999-12-31T23:59:59.999Z"
    assert [duration(ms) for ms in (0, 350, 61_000, 90_061_000)] == ["0 ms", "350 ms", "1 min 1 s", "1 d 1 h"]
    assert [size(count) for count in (0, 1023, 1536, 3 << 20)] == ["0 B", "1023 B", "1.5 KiB", "3.0 MiB"]


@pytest.mark.parametrize(
    ("text", "ago_ms"),
    [
        ("90s", 90_000),
        ("15min", 900_000),
        ("15m", 900_000),
        ("15min ago", 900_000),
        ("1h  ago", 3_600_000),
        ("1.5h", 5_400_000),
        ("2 d", 172_800_000),
        ("1w", 604_800_000),
    ],
)
def test_a_time_ago(text: str, ago_ms: int) -> None:
    assert read_moment(text, "--since", now_ms=NOW_MS) == NOW_MS - ago_ms


@pytest.mark.parametrize("text", ["2026-11-27T07:35Z", "2026-11-27 07:35", "2026-11-27T08:35:00+01:00"])
def test_a_time_of_the_calendar(text: str) -> None:
    assert read_moment(text, "--since", now_ms=0) == NOW_MS


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "1y", "ago", "1hago", "tomorrow", "2026-13-01"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(InvalidInputError, match="--since"):
        read_moment(text, "--since", now_ms=NOW_MS)


def test_a_moment_before_1970_is_its_beginning() -> None:
    assert read_moment("999999999w", "--since", now_ms=NOW_MS) == 0


def test_lines_hold_nothing_that_a_terminal_obeys() -> None:
    assert one_line("a\x1b[31m b\n\tc") == "a\N{REPLACEMENT CHARACTER}[31m b c"
    assert one_line({"a": ["\u00e4", 1]}) == '{"a": ["\u00e4", 1]}'
    assert one_line("x" * 300) == "x" * 200 + "..."


def test_half_characters_stay_json() -> None:
    text = json_text({"a": "\ud800", "b": "\u00e4"}, indent=None)
    assert text == '{"a": "\\ud800", "b": "\u00e4"}'
    assert json.loads(text.encode()) == {"a": "\ud800", "b": "\u00e4"}


def test_columns_are_aligned() -> None:
    assert table(("A", "LONG"), [("1234", "x"), ("", "yy")]) == ["A     LONG", "1234  x", "      yy"]
    assert table(("A",), []) == ["A"]
    assert fields([("name", "x"), ("a", None), ("longer", "y")]) == ["name    x", "longer  y"]
