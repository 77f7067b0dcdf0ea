"""What one instance knows of its pending interruptions, and waits that end early because of one.

Three sources feed it: the poller, the answers of checkpoints, and the first call refused for its epoch. A cancel and a
supersession stay; a pause may be withdrawn (by a resume) until it is obeyed. Precedence: superseded, cancel, pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from runtara_sdk.errors import InstanceCancelled, InstanceInterrupted, InstancePaused, InstanceSuperseded
from runtara_sdk.models import Signal, SignalType

Result = TypeVar("Result")

WIND_DOWN_SECONDS = 5.0
"""How long work that was cancelled by an interruption may take to clean up after itself."""


class InterruptionWatch:
    """State of one `RuntaraSdk`; used from one event loop."""

    def __init__(self) -> None:
        self._superseded = False
        self._cancel: Signal | None = None
        self._pause: Signal | None = None
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def is_superseded(self) -> bool:
        """Whether a newer launch owns the instance."""
        return self._superseded

    @property
    def is_final(self) -> bool:
        """Whether nothing that could still be learnt changes what has to happen: superseded or cancelled."""
        return self._superseded or self._cancel is not None

    @property
    def signal(self) -> Signal | None:
        """The most urgent signal that has not been withdrawn."""
        return self._cancel or self._pause

    def observe(self, signal: Signal | None) -> None:
        """Take in what an answer said of the pending signal."""
        if signal is None or signal.signal_type is SignalType.RESUME:
            self._pause = None
            return
        if signal.signal_type is SignalType.CANCEL:
            self._cancel = signal
        else:
            self._pause = signal
        self._wake()

    def obeyed(self, signal: Signal) -> None:
        """Forget a signal that has been acknowledged."""
        if signal.signal_type is SignalType.CANCEL:
            self._cancel = None
        elif signal.signal_type is SignalType.PAUSE:
            self._pause = None

    def supersede(self) -> None:
        """Note that a newer launch owns the instance."""
        self._superseded = True
        self._wake()

    def interruption(self, *, pause_too: bool) -> InstanceInterrupted | None:
        """The exception to raise now, if any."""
        if self._superseded:
            return InstanceSuperseded("a newer launch owns the instance")
        if self._cancel is not None:
            return InstanceCancelled("a cancel signal reached the instance")
        if pause_too and self._pause is not None:
            return InstancePaused("a pause signal reached the instance")
        return None

    async def race(self, awaitable: Awaitable[Result], *, pause_too: bool) -> Result:
        """The result of `awaitable`, unless an interruption comes first: then it is cancelled and that is raised.

        Work that ignores its cancellation is left behind after `WIND_DOWN_SECONDS`.
        """
        work = asyncio.ensure_future(awaitable)
        try:
            while not work.done():
                if (interruption := self.interruption(pause_too=pause_too)) is not None:
                    await _wind_down(work)
                    if work.done() and not work.cancelled() and work.exception() is None:
                        break
                    raise interruption
                await self._wait_for_news(work)
        except asyncio.CancelledError:
            await _wind_down(work)
            raise
        return work.result()

    async def _wait_for_news(self, work: asyncio.Future[Result]) -> None:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(news)
        waited_for: set[asyncio.Future[Any]] = {work, news}
        try:
            await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(news)
            news.cancel()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


async def _wind_down(work: asyncio.Future[Result]) -> None:
    work.cancel()
    await asyncio.wait({work}, timeout=WIND_DOWN_SECONDS)
