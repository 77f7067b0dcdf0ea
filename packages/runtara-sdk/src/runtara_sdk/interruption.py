"""What one instance knows of its pending interruptions, and waits that end early because of one.

Three sources feed it: the held polls, the answers of checkpoints, and the first call refused for its epoch. A cancel
and a supersession stay; a pause may be withdrawn (by a resume) until it is obeyed, and a shutdown gives way to it. An
instance that was ended or removed from outside counts as superseded. Precedence: superseded, cancel, pause, shutdown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from runtara_sdk.errors import (
    InstanceCancelled,
    InstanceInterrupted,
    InstancePaused,
    InstanceShutdown,
    InstanceSuperseded,
)
from runtara_sdk.models import Signal, SignalType

Result = TypeVar("Result")

WIND_DOWN_SECONDS = 5.0
"""How long work that was cancelled by an interruption may take to clean up after itself."""


class InterruptionWatch:
    """State of one `RuntaraSdk`; used from one event loop."""

    def __init__(self) -> None:
        self._superseded_by: str | None = None
        self._own_ends = 0
        self._withdrawn: asyncio.Future[None] | None = None
        self._cancel: Signal | None = None
        self._suspension: Signal | None = None  # a pause or a shutdown; the store names the more urgent one
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def is_superseded(self) -> bool:
        """Whether this program no longer advances the instance."""
        return self._superseded_by is not None

    @property
    def is_final(self) -> bool:
        """Whether nothing that could still be learnt changes what has to happen: superseded or cancelled."""
        return self.is_superseded or self._cancel is not None

    @property
    def signal(self) -> Signal | None:
        """The most urgent signal that has not been withdrawn."""
        return self._cancel or self._suspension

    def observe(self, signal: Signal | None) -> None:
        """Take in what an answer said of the pending signal."""
        if signal is None or signal.signal_type is SignalType.RESUME:
            self._forget_suspension()
            return
        if signal.signal_type is SignalType.CANCEL:
            self._cancel = signal
        else:
            if self._suspension is not None and self._suspension.signal_type is not signal.signal_type:
                self._forget_suspension()
            self._suspension = signal
        self._wake()

    def obeyed(self, signal: Signal) -> None:
        """Forget a signal that has been acknowledged."""
        if signal.signal_type is SignalType.CANCEL:
            self._cancel = None
        elif signal.signal_type is not SignalType.RESUME:
            self._forget_suspension()

    async def withdrawal(self) -> None:
        """Return when a pause or shutdown that is known is forgotten."""
        if self._withdrawn is None:
            self._withdrawn = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._withdrawn)

    def supersede(self) -> None:
        """Note that a newer launch owns the instance."""
        self._supersede("a newer launch owns the instance")

    def end(self, reason: str) -> None:
        """Note that the instance has ended, unless that is the program's own doing."""
        if not self._own_ends:
            self._supersede(reason)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Within it, and for good once it is left without an error, the program itself ends the instance."""
        self._own_ends += 1
        try:
            yield
        except BaseException:
            self._own_ends -= 1
            raise

    def _supersede(self, reason: str) -> None:
        self._superseded_by = self._superseded_by or reason
        self._wake()

    def _forget_suspension(self) -> None:
        if self._suspension is not None and self._withdrawn is not None:
            self._withdrawn.set_result(None)
            self._withdrawn = None
        self._suspension = None

    def interruption(self, *, suspension_too: bool) -> InstanceInterrupted | None:
        """The exception to raise now, if any; one for a pause or a shutdown only with `suspension_too`."""
        if self._superseded_by is not None:
            return InstanceSuperseded(self._superseded_by)
        if self._cancel is not None:
            return InstanceCancelled("a cancel signal reached the instance")
        if suspension_too and self._suspension is not None:
            if self._suspension.signal_type is SignalType.SHUTDOWN:
                return InstanceShutdown("a shutdown signal reached the instance")
            return InstancePaused("a pause signal reached the instance")
        return None

    async def race(self, awaitable: Awaitable[Result], *, suspension_too: bool) -> Result:
        """The result of `awaitable`, unless an interruption comes first: then it is cancelled and that is raised.

        Work that ignores its cancellation is left behind after `WIND_DOWN_SECONDS`.
        """
        work = asyncio.ensure_future(awaitable)
        try:
            while not work.done():
                if (interruption := self.interruption(suspension_too=suspension_too)) is not None:
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

        def done(_: asyncio.Future[Result]) -> None:
            if not news.done():
                news.set_result(None)

        self._waiters.add(news)
        work.add_done_callback(done)
        try:
            await news
        finally:
            self._waiters.discard(news)
            work.remove_done_callback(done)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


async def _wind_down(work: asyncio.Future[Result]) -> None:
    work.cancel()
    await asyncio.wait({work}, timeout=WIND_DOWN_SECONDS)
