"""What an instance does beside its own work: it hears of signals and newer launches, and shows that it is alive.

Both make calls of their own, so that no call of the program can hold them up. A failing call is noted and made again at
the next turn: the program's own calls meet the same trouble and decide about it.

A poll that the store holds is a sign of life, too. While there is one, heartbeats are sent only if they were asked for
more often than the store notes such a poll.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceSuperseded, RuntaraError
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.signal_polls import SignalPolls

logger = logging.getLogger(__name__)

_CONTACT_BY_POLL_MS = 30_000
_STOP_SECONDS = 5.0


class BackgroundCalls:
    """The two tasks of one registered instance.

    Args:
        watch: tells when there is nothing left to learn.
        clock: source of the waits.
        polls: hear of signals.
        beat: sends a heartbeat.
        beat_interval_ms: milliseconds between heartbeats; 0 sends none.
    """

    def __init__(
        self,
        watch: InterruptionWatch,
        clock: Clock,
        *,
        polls: SignalPolls,
        beat: Callable[[], Awaitable[object]],
        beat_interval_ms: int,
    ) -> None:
        self._watch = watch
        self._clock = clock
        self._polls = polls
        self._beat = beat
        self._beat_interval_ms = beat_interval_ms
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks; nothing when they run."""
        if self._tasks:
            return
        self._tasks.append(asyncio.create_task(self._poll_on(), name="runtara-poll"))
        if self._beat_interval_ms:
            self._tasks.append(asyncio.create_task(self._beat_on(), name="runtara-heartbeat"))

    async def stop(self) -> None:
        """Cancel the tasks and wait for their end, at most 5 s."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)

    async def _poll_on(self) -> None:
        while not self._watch.is_final:
            if not await self._succeeds(self._polls.hear()):
                await self._clock.sleep(self._polls.interval_ms / 1000)

    async def _beat_on(self) -> None:
        # Goes on after a cancel: the program may take its time to wind down.
        while not self._watch.is_superseded:
            await self._clock.sleep(self._beat_interval_ms / 1000)
            if not self._polls.is_held or self._beat_interval_ms < _CONTACT_BY_POLL_MS:
                await self._succeeds(self._beat())

    async def _succeeds(self, call: Awaitable[object]) -> bool:
        try:
            await call
        except RuntaraError as error:
            logger.debug("background call failed: %s", error)
            return False
        except InstanceSuperseded as news:
            logger.warning("this program stops: %s", news)
        return True
