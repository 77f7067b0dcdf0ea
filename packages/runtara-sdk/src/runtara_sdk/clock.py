"""Time as a dependency: services take a `Clock`, tests hand in one that they move by hand."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod


class Clock(ABC):
    """A source of wall-clock time and of waits."""

    @abstractmethod
    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` of this clock have passed."""


class SystemClock(Clock):
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
