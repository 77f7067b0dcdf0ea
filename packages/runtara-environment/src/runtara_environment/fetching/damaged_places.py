"""Places that have given damaged bytes, which are not asked for the same artifact again for a while.

The pause grows with each time, from half a minute to ten minutes: a place may be mended, and may be the only one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from runtara_sdk.clock import Clock

logger = logging.getLogger(__name__)

FIRST_PAUSE_MS = 30_000
LONGEST_PAUSE_MS = 600_000
_MAX_KNOWN = 1_000


@dataclass(slots=True)
class _Damage:
    pause_ms: int
    since_ms: int


class DamagedPlaces:
    """What is known of places, by their name and the digest of an artifact."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], _Damage] = {}

    def note(self, place: str, digest: str, reason: str) -> None:
        """Say that a place has given damaged bytes; logs it the first time."""
        known = self._known.pop((place, digest), None)
        if known is None:
            logger.error("%s gives artifact %s damaged: %s", place, digest[:12], reason)
            pause_ms = FIRST_PAUSE_MS
        else:
            pause_ms = min(2 * known.pause_ms, LONGEST_PAUSE_MS)
        self._known[place, digest] = _Damage(pause_ms, self._clock.now_ms())
        while len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def pause_ms(self, place: str, digest: str) -> int:
        """How long a place is not asked for an artifact any more; 0 when it may be asked."""
        known = self._known.get((place, digest))
        if known is None:
            return 0
        # A clock that is set back makes no pause longer.
        passed_ms = max(0, self._clock.now_ms() - known.since_ms)
        return max(0, known.pause_ms - passed_ms)

    def forget(self, place: str, digest: str) -> None:
        """Say that a place has given an artifact as it should be."""
        self._known.pop((place, digest), None)
