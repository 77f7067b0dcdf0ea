"""How long a server asks to be left alone."""

from __future__ import annotations

import email.utils
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

_MAXIMUM_MS = 7 * 86_400_000
_RESET = re.compile(r"(?:^|[;,\s])(?:t|reset)\s*=\s*([0-9]{1,11})")
_MOMENT_SECONDS = 1_000_000_000
"""From here on, a number of seconds is a moment since the Unix epoch, and no duration."""
_MOMENT_MS = 1_000_000_000_000


def retry_after_ms(headers: httpx.Headers) -> int | None:
    """Milliseconds, at most seven days; None when no header says.

    `Retry-After` counts before `RateLimit` and `RateLimit-Reset` (drafts of the IETF) and `X-RateLimit-Reset`.
    """
    if (value := headers.get("retry-after")) is not None and (found := _retry_after(value.strip())) is not None:
        return found
    if (value := headers.get("ratelimit")) is not None and (reset := _RESET.search(value)) is not None:
        return _bounded(int(reset[1]) * 1000)
    for name in ("ratelimit-reset", "x-ratelimit-reset"):
        if (value := headers.get(name)) is not None and (found := _reset(value.strip())) is not None:
            return found
    return None


def _retry_after(value: str) -> int | None:
    """Seconds or a date."""
    if value.isascii() and value.isdecimal() and len(value) < 12:
        return _bounded(int(value) * 1000)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return _bounded(round((moment - time.time()) * 1000))


def _reset(value: str) -> int | None:
    """Seconds from now, or a moment in seconds or milliseconds since the Unix epoch."""
    whole = value.partition(".")[0]
    if not (whole.isascii() and whole.isdecimal() and len(whole) < 15):
        return None
    number = int(whole)
    if number >= _MOMENT_MS:
        return _bounded(number - round(time.time() * 1000))
    if number >= _MOMENT_SECONDS:
        return _bounded(number * 1000 - round(time.time() * 1000))
    return _bounded(number * 1000)


def _bounded(milliseconds: int) -> int:
    return min(max(0, milliseconds), _MAXIMUM_MS)
