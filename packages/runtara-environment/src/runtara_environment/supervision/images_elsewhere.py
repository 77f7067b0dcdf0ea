"""Images that this host cannot launch, because their artifacts are not here or are damaged.

Environments that share a database share the names of images, not the files. What one lacks it leaves to the others when
it claims, and looks again after a while: the artifact may have come. An image whose current version is here is not
left out. Of another version that is not here each instance is tried again after a growing pause, by whoever claims it;
so is each instance of an image that no longer fits among those that a claim may leave out.
"""

from __future__ import annotations

from runtara_core.management import MAX_IMAGES_WITHOUT
from runtara_sdk.clock import Clock

LOOK_AGAIN_MS = 10_000
"""How long an image is left to others before this host tries it again."""


class ImagesElsewhere:
    """The images that are left to others for now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_ms: dict[str, tuple[int, int]] = {}
        """When each was left out, and until when."""

    def add(self, image_id: str, for_ms: int = LOOK_AGAIN_MS) -> bool:
        """Leave an image to others for a while; False when a claim cannot leave out one more."""
        if image_id not in self._until_ms and len(self.now()) >= MAX_IMAGES_WITHOUT:
            return False
        now_ms = self._clock.now_ms()
        self._until_ms[image_id] = (now_ms, now_ms + for_ms)
        return True

    def remove(self, image_id: str) -> None:
        """Try an image again: its artifact has just come, or its signature has changed."""
        self._until_ms.pop(image_id, None)

    def now(self) -> tuple[str, ...]:
        """Those left to others at this moment."""
        now_ms = self._clock.now_ms()
        # Nothing stands here longer than it should when the clock is set back.
        self._until_ms = {each: span for each, span in self._until_ms.items() if span[0] <= now_ms < span[1]}
        return tuple(self._until_ms)

    def change_ms(self) -> int | None:
        """How long until the first of them is tried again; None when there are none."""
        first = min((until_ms for _, until_ms in self._until_ms.values()), default=None)
        return None if first is None else max(0, first - self._clock.now_ms())
