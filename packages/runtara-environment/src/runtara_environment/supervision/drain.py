"""Empties a host: its launches are told to suspend, and those that do not obey in time are ended.

A suspended instance is due at once, for whichever environment claims it. Nothing is counted against it. A program that
could not be told, because core is away, is left running: it has had no chance to obey.
"""

from __future__ import annotations

import asyncio
import logging

from runtara_core.management import CoreManagement
from runtara_core.models import LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceNotFoundError, InvalidStateError, RuntaraError
from runtara_sdk.models import SignalType, TerminationReason

from runtara_environment.supervision.ending import STOP_GRACE_SECONDS, Ending
from runtara_environment.supervision.live_launch import LiveLaunch, LiveLaunches

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_TELL_AGAIN_SECONDS = 1.0
_TOLD_AT_ONCE = 16


class Drain:
    """One emptying of the launches `live`, to which nothing is added meanwhile."""

    def __init__(self, core: CoreManagement, live: LiveLaunches, ending: Ending, clock: Clock) -> None:
        self._core = core
        self._live = live
        self._ending = ending
        self._clock = clock
        self._slots = asyncio.Semaphore(_TOLD_AT_ONCE)
        self._untold: set[LeaseKey] = set()

    async def run(self, seconds: float) -> int:
        """Let the launches suspend for up to `seconds`, then end those that were told; returns how many still run."""
        launches = list(self._live.values())
        if not launches:
            return 0
        logger.info("launches that are told to suspend: %d", len(launches))
        self._untold = {each.key for each in launches}
        telling = [asyncio.create_task(self._tell(each), name=f"suspend {each.key.instance_id}") for each in launches]
        try:
            if await self._ended_within(launches, seconds):
                return 0
        finally:
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)
        stragglers = [each for each in launches if not _has_ended(each) and each.key not in self._untold]
        if stragglers:
            logger.warning("%d launches have not suspended within %g s and are ended", len(stragglers), seconds)
        await asyncio.gather(*(self._ending.stop(each, TerminationReason.SHUTDOWN_REQUESTED) for each in stragglers))
        await self._ended_within(stragglers, STOP_GRACE_SECONDS)
        return sum(not _has_ended(each) for each in launches)

    async def _tell(self, live: LiveLaunch) -> None:
        """Send the shutdown signal, again while core is away."""
        while not _has_ended(live):
            try:
                async with self._slots:
                    await self._core.send_signal(live.key.instance_id, SignalType.SHUTDOWN)
                self._untold.discard(live.key)
                return
            except (InstanceNotFoundError, InvalidStateError):
                self._untold.discard(live.key)
                return  # it has ended
            except RuntaraError as error:
                logger.warning("instance %s is not told to suspend yet: %s", live.key.instance_id, error)
            await self._clock.sleep(_TELL_AGAIN_SECONDS)

    async def _ended_within(self, launches: list[LiveLaunch], seconds: float) -> bool:
        left_ms = seconds * 1000
        looked_at_ms = self._clock.now_ms()
        while any(not _has_ended(each) for each in launches):
            if left_ms <= 0:
                return False
            await self._clock.sleep(_LOOK_SECONDS)
            now_ms = self._clock.now_ms()
            # A clock that is set back makes the time no longer than by this look.
            left_ms -= max(0, now_ms - looked_at_ms)
            looked_at_ms = now_ms
        return True


def _has_ended(live: LiveLaunch) -> bool:
    return live.task is None or live.task.done()
