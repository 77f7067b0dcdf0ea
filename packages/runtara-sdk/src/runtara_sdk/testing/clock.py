"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from runtara_sdk.clock import Clock


class ManualClock(Clock):
    """A clock for tests: `advance` moves it and wakes whoever's wait has ended."""

    def __init__(self, now_ms: int = 1_750_000_000_000) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1000), next(self._sequence), future))
        await future

    def advance(self, milliseconds: int) -> None:
        """Move the clock forward (or back, for clock-jump tests) and release the waits that have ended."""
        self._now_ms += milliseconds
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    def set_back(self, milliseconds: int) -> None:
        """Set the clock back as an operator does: waits take as long as they would have."""
        self._now_ms -= milliseconds
        self._sleepers = [(due_ms - milliseconds, number, future) for due_ms, number, future in self._sleepers]
        heapq.heapify(self._sleepers)
