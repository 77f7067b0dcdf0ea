"""A clock that jumps to the next deadline as soon as everybody waits for one."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from runtara_sdk.clock import Clock

_ROUNDS = 30
"""Turns of the event loop without a new wait after which nobody is taken to be at work."""


class JumpingClock(Clock):
    """Three days of waiting pass at once; the order of deadlines is kept.

    Work that takes real time (a capability that is really called) is announced by `real_work`: meanwhile nothing jumps.
    """

    def __init__(self, now_ms: int = 1_750_000_000_000) -> None:
        self._now_ms = now_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._sequence = itertools.count()
        self._working = 0
        self._jumper: asyncio.Task[None] | None = None

    def now_ms(self) -> int:
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1000), next(self._sequence), future))
        self._wake_jumper()
        await future

    def jump_to(self, time_ms: int) -> None:
        """Move forward to a time, unless it has passed, and release the waits that end until then."""
        self._now_ms = max(self._now_ms, time_ms)
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    @contextmanager
    def real_work(self) -> Iterator[None]:
        """Time stands still during the block."""
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1
            self._wake_jumper()

    @contextmanager
    def rest(self) -> Iterator[None]:
        """The real work that surrounds the block waits for its end, so time may jump."""
        self._working -= 1
        self._wake_jumper()
        try:
            yield
        finally:
            self._working += 1

    def close(self) -> None:
        """Stop jumping."""
        if self._jumper is not None:
            self._jumper.cancel()
            self._jumper = None

    def _wake_jumper(self) -> None:
        if self._jumper is None or self._jumper.done():
            self._jumper = asyncio.get_running_loop().create_task(self._jump())

    async def _jump(self) -> None:
        while self._sleepers and not self._working:
            known = next(self._sequence)
            for _ in range(_ROUNDS):
                await asyncio.sleep(0)
            if self._working or next(self._sequence) != known + 1:
                continue  # somebody began to wait or to work meanwhile
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if self._sleepers:
                self.jump_to(self._sleepers[0][0])
