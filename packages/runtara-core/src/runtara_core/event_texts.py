"""Finding events by a text in their payload, the same in every storage."""

from __future__ import annotations

MAX_SEARCHED_BYTES = 64 * 1024
"""How much of a payload is looked at."""

MAX_SEARCHED_EVENTS = 100_000
"""Most events that one search looks at."""


def payload_contains(payload: bytes | None, text: str) -> bool:
    """Whether a payload has a text in it, whatever the case of the letters; bytes that are not UTF-8 match nothing."""
    if not payload:
        return not text
    shown = payload[:MAX_SEARCHED_BYTES].decode(errors="replace")
    return text.casefold() in shown.casefold()
