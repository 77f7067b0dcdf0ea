"""Dates of many forms, and zones."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from runtara_sdk.agents import AgentError

DATE_ERROR = "DATETIME_INVALID_DATE"
ZONE_ERROR = "DATETIME_INVALID_TIMEZONE"
RANGE_ERROR = "DATETIME_OUT_OF_RANGE"

_MILLISECONDS_FROM = 10**12
_ISO = re.compile(r"\d{4}-?\d{2}-?\d{2}(?:[T ].+)?|\d{4}-?W\d{2}(?:-?\d)?")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")


def read_date(value: Any, name: str, zone: tzinfo = UTC) -> datetime:
    """A date with its zone; where it says none, it is of `zone`.

    Seconds or milliseconds since 1970, ISO 8601, RFC 2822, month/day/year before day/month/year, and day.month.year.

    Raises:
        AgentError: permanent DATETIME_INVALID_DATE, naming the input.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _no_date(name)
    text = value.strip() if isinstance(value, str) else value
    try:
        if isinstance(text, int | float):
            return from_timestamp(text)
        if _NUMBER.fullmatch(text) and not re.fullmatch(r"\d{8}", text):
            return from_timestamp(float(text) if "." in text else int(text))
        found = _iso(text) or _by_position(text) or _rfc(text)
    except (ValueError, OverflowError, OSError):
        raise _no_date(name) from None
    if found is None:
        raise _no_date(name)
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def from_timestamp(value: float, *, is_milliseconds: bool | None = None) -> datetime:
    """The moment so many seconds or milliseconds after 1970; large numbers are milliseconds unless it is said."""
    is_milliseconds = abs(value) > _MILLISECONDS_FROM if is_milliseconds is None else is_milliseconds
    beginning = datetime(1970, 1, 1, tzinfo=UTC)
    return beginning + (timedelta(milliseconds=value) if is_milliseconds else timedelta(seconds=value))


def read_zone(name: str | None) -> tzinfo:
    """The zone of a name such as `Europe/Berlin`, `UTC`, `Z` or `+02:00`; UTC without one.

    Raises:
        AgentError: permanent DATETIME_INVALID_TIMEZONE.
    """
    if name is None or name.strip().upper() in ("", "UTC", "Z", "GMT"):
        return UTC
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None and int(offset[2]) < 24 and int(offset[3]) < 60:
        minutes = int(offset[2]) * 60 + int(offset[3])
        return timezone(timedelta(minutes=-minutes if offset[1] == "-" else minutes))
    try:
        return ZoneInfo(name.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        shown = name[:60].encode(errors="replace").decode()
        raise AgentError.permanent(
            ZONE_ERROR,
            f"timezone {shown!r} is unknown: use a name such as Europe/Berlin, or +02:00",
            attributes={"timezone": shown},
        ) from None


def iso_text(moment: datetime) -> str:
    """ISO 8601 without fraction, `Z` for UTC."""
    text = moment.replace(microsecond=0).isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _iso(text: str) -> datetime | None:
    return datetime.fromisoformat(text.replace(",", ".")) if _ISO.fullmatch(text) else None


def _by_position(text: str) -> datetime | None:
    slashed, dotted = _SLASHED.fullmatch(text), _DOTTED.fullmatch(text)
    if slashed is not None:
        first, second, year, *rest = slashed.groups()
        month, day = (first, second) if int(first) <= 12 else (second, first)
    elif dotted is not None:
        day, month, year, *rest = dotted.groups()
    else:
        return None
    hour, minute, second_ = (int(part or 0) for part in rest)
    return datetime(int(year), int(month), int(day), hour, minute, second_)  # noqa: DTZ001 - its zone comes after


def _rfc(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return None


def _no_date(name: str) -> AgentError:
    return AgentError.permanent(
        DATE_ERROR,
        f"{name} is no date: give ISO 8601 (2026-11-27T09:30:00Z), RFC 2822, or seconds since 1970",
        attributes={"input": name},
    )
