"""Dates in forms of one's own: `dd.MM.yyyy HH:mm`. Texts in apostrophes stay as they are; two of them are one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_TOKEN = re.compile(
    r"'((?:[^']|'')*)'|(yyyy|yy|MMMM|MMM|MM|M|dd|d|EEEE|EEE|E|HH|H|hh|h|mm|ss|SSS|ZZZ|ZZ|Z|a|W|o)|(.)", re.S
)
_LONGEST = 1000


class PatternError(ValueError):
    """A pattern that is malformed."""


def formatted(moment: datetime, pattern: str) -> str:
    """The date in the form of a pattern; names are English.

    Raises:
        PatternError: an apostrophe is not closed, or the pattern is too long.
    """
    if len(pattern) > _LONGEST:
        raise PatternError(f"it has more than {_LONGEST} characters")
    parts = []
    for found in _TOKEN.finditer(pattern):
        quoted, token, other = found.groups()
        if quoted is not None:
            parts.append(quoted.replace("''", "'") or "'")
        elif token is not None:
            parts.append(_WRITERS[token](moment))
        elif other == "'":
            raise PatternError(f"an apostrophe is not closed at character {found.start() + 1}")
        else:
            parts.append(other)
    return "".join(parts)


def _offset(moment: datetime, colon: str) -> str:
    offset = moment.utcoffset()
    minutes = 0 if offset is None else int(offset.total_seconds() // 60)
    sign, minutes = ("-" if minutes < 0 else "+"), abs(minutes)
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"


def _ordinal(day: int) -> str:
    return "th" if 11 <= day % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


_WRITERS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda m: f"{m.year:04d}",
    "yy": lambda m: f"{m.year % 100:02d}",
    "MMMM": lambda m: _MONTHS[m.month - 1],
    "MMM": lambda m: _MONTHS[m.month - 1][:3],
    "MM": lambda m: f"{m.month:02d}",
    "M": lambda m: str(m.month),
    "dd": lambda m: f"{m.day:02d}",
    "d": lambda m: str(m.day),
    "EEEE": lambda m: _DAYS[m.weekday()],
    "EEE": lambda m: _DAYS[m.weekday()][:3],
    "E": lambda m: str(m.isoweekday()),
    "HH": lambda m: f"{m.hour:02d}",
    "H": lambda m: str(m.hour),
    "hh": lambda m: f"{(m.hour + 11) % 12 + 1:02d}",
    "h": lambda m: str((m.hour + 11) % 12 + 1),
    "mm": lambda m: f"{m.minute:02d}",
    "ss": lambda m: f"{m.second:02d}",
    "SSS": lambda m: f"{m.microsecond // 1000:03d}",
    "a": lambda m: "AM" if m.hour < 12 else "PM",
    "W": lambda m: f"{m.isocalendar().week:02d}",
    "o": lambda m: _ordinal(m.day),
    "ZZZ": lambda m: m.tzname() or "UTC",
    "ZZ": lambda m: _offset(m, ":"),
    "Z": lambda m: _offset(m, ""),
}
