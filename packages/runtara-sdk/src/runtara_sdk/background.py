"""What an instance does beside its own work: heartbeats, and the poll that notices signals and newer launches.

Both make calls of their own, so that no call of the program can hold them up. A failing call is noted and made again at
the next turn: the program's own calls meet the same trouble and decide about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceSuperseded, RuntaraError
from runtara_sdk.interruption import InterruptionWatch

logger = logging.getLogger(__name__)

_LONGEST_POLL_INTERVAL_MS = 1_000
_STOP_SECONDS = 5.0


class BackgroundCalls:
    """The two tasks of one registered instance.

    Args:
        watch: tells when there is nothing left to learn.
        clock: source of the waits.
        poll: asks for signals; makes the answer known to the watch.
        poll_interval_ms: milliseconds between polls, at most a second.
        beat: sends a heartbeat.
        beat_interval_ms: milliseconds between heartbeats; 0 sends none.
    """

    def __init__(
        self,
        watch: InterruptionWatch,
        clock: Clock,
        *,
        poll: Callable[[], Awaitable[object]],
        poll_interval_ms: int,
        beat: Callable[[], Awaitable[object]],
        beat_interval_ms: int,
    ) -> None:
        self._watch = watch
        self._clock = clock
        self._poll = poll
        self._poll_interval_ms = min(poll_interval_ms, _LONGEST_POLL_INTERVAL_MS)
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
            await self._clock.sleep(self._poll_interval_ms / 1000)
            await self._attempt(self._poll())

    async def _beat_on(self) -> None:
        # Goes on after a cancel: the program may take its time to wind down.
        while not self._watch.is_superseded:
            await self._clock.sleep(self._beat_interval_ms / 1000)
            await self._attempt(self._beat())

    async def _attempt(self, call: Awaitable[object]) -> None:
        try:
            await call
        except RuntaraError as error:
            logger.debug("background call failed: %s", error)
        except InstanceSuperseded:
            logger.warning("a newer launch has taken over this instance")
