"""Images that this host does not launch for want of a signature that it accepts.

Nothing helps but another signature, which comes with a registration, through any environment of the database. So such
an image is left to others for a growing time. Meanwhile its row is looked at, and once it was registered again, this
host tries it at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtara_core.management import MAX_IMAGES_WITHOUT
from runtara_sdk.clock import Clock

from runtara_environment.registry import ImageRegistry, SignatureRefusedError

FIRST_PAUSE_MS = 10_000
LONGEST_PAUSE_MS = 600_000
LOOK_AGAIN_MS = 2_000
"""How often the rows are looked at."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    updated_at_ms: int
    pause_ms: int
    since_ms: int


class RefusedSignatures:
    """What was refused last of each image, as many as a claim may leave out."""

    def __init__(self, registry: ImageRegistry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._refusals: dict[str, _Refusal] = {}

    def __bool__(self) -> bool:
        return bool(self._refusals)

    def refuse(self, image_id: str, error: SignatureRefusedError) -> int:
        """Note a refusal; returns for how many milliseconds from now on the image is left to others."""
        now_ms = self._clock.now_ms()
        known = self._refusals.pop(image_id, None)
        refusal = _Refusal(error.updated_at_ms, FIRST_PAUSE_MS, now_ms)
        if known is not None and known.updated_at_ms == error.updated_at_ms:
            left_ms = known.since_ms + known.pause_ms - now_ms
            # Several instances of the image may have been claimed together: they are refused as one.
            is_same = 0 < left_ms <= known.pause_ms
            pause_ms = min(2 * known.pause_ms, LONGEST_PAUSE_MS)
            refusal = known if is_same else _Refusal(error.updated_at_ms, pause_ms, now_ms)
        self._refusals[image_id] = refusal
        while len(self._refusals) > MAX_IMAGES_WITHOUT:
            del self._refusals[next(iter(self._refusals))]
        return refusal.since_ms + refusal.pause_ms - now_ms

    async def registered_again(self) -> list[str]:
        """The images that were registered again, or are gone; they are forgotten.

        Raises `RuntaraError` when the database cannot be asked.
        """
        found = await self._registry.find_updates(list(self._refusals))
        changed = [
            image_id for image_id, refusal in self._refusals.items() if found.get(image_id) != refusal.updated_at_ms
        ]
        for image_id in changed:
            del self._refusals[image_id]
        return changed
