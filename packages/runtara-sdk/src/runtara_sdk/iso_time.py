"""Times as people and programs exchange them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST_MS = 253_402_300_799_999  # the end of the year 9999


def iso_time(milliseconds: int) -> str:
    """A time since 1970 UTC as ISO 8601, such as `2026-11-27T08:15:00.250Z`."""
    moment = _BEGINNING + timedelta(milliseconds=min(max(milliseconds, 0), _LARGEST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
