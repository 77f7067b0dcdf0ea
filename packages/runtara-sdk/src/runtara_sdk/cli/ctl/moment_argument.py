"""Option values that are a moment: a time ago (`90s`, `15min ago`, `1h`, `2d`) or an ISO 8601 time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from runtara_sdk.errors import InvalidInputError

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|min|h|d|w)(?:\s+ago)?", re.ASCII)
_UNITS_MS = {"s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def read_moment(value: str, option: str, *, now_ms: int) -> int:
    """Milliseconds since 1970 UTC, not before it; raises `InvalidInputError` naming option and remedy.

    A time without a zone is UTC.
    """
    ago = _AGO.fullmatch(value.strip())
    if ago is not None:
        return max(0, now_ms - round(float(ago[1]) * _UNITS_MS[ago[2]]))
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        raise InvalidInputError(
            f"{option}: {value!r} is no moment: give a time ago such as 90s, 15min, 1h or 2d, "
            "or a time such as 2026-11-27T08:15Z"
        ) from None
    return max(0, round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
