"""Ends the processes of launches that are watched here, with a grace or without."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from runtara_core.models import LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.models import TerminationReason

from runtara_environment.runner import StopError
from runtara_environment.supervision.live_launch import LiveLaunch, LiveLaunches

logger = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 5.0
"""From SIGTERM to SIGKILL, and how long the end of a process is waited for."""

_STOP_AGAIN_SECONDS = 10.0
_LAST_GRACE_SECONDS = 1.0
"""From SIGTERM to SIGKILL for a program that was told to cancel long before."""


class Ending:
    """Ends processes of the launches `live`."""

    def __init__(self, live: LiveLaunches, clock: Clock) -> None:
        self._live = live
        self._clock = clock

    def begin(self, live: LiveLaunch, grace_seconds: float = 0) -> None:
        """End the process of a launch, in the background: nobody waits for one that does not die."""
        if live.ending is None or live.ending.done():
            live.ending = asyncio.create_task(
                self._end_process(live, grace_seconds), name=f"end {live.key.instance_id}"
            )

    async def begin_cancelled(self, key: LeaseKey) -> bool:
        """Begin to end a launch that has not obeyed its cancel; False when it is not watched here."""
        live = self._live.get(key.instance_id)
        if live is None or live.key != key:
            return False
        live.stop_reason = TerminationReason.CANCELLED
        self.begin(live, _LAST_GRACE_SECONDS)
        return True

    async def begin_silent(self, key: LeaseKey) -> bool:
        """Begin to end a launch that hangs; False when it is not watched here, or is being ended anyway."""
        live = self._live.get(key.instance_id)
        if live is None or live.key != key or live.process is None or live.stop_reason is not None:
            return False
        live.stop_reason = TerminationReason.HEARTBEAT_TIMEOUT
        self.begin(live, _LAST_GRACE_SECONDS)
        return True

    async def cpu_usage_usec(self, key: LeaseKey) -> int | None:
        """Processor time that a launch which is watched here has used; None when nobody can say."""
        live = self._live.get(key.instance_id)
        return None if live is None or live.process is None else await live.process.cpu_usage_usec()

    async def stop(self, live: LiveLaunch, reason: TerminationReason) -> None:
        """End the process of a launch, which has a few seconds to obey; one that does not die is left."""
        live.stop_reason = live.stop_reason or reason
        with contextlib.suppress(StopError, TimeoutError):
            await asyncio.wait_for(live.started.wait(), STOP_GRACE_SECONDS)
            if live.process is not None:
                await live.process.stop(STOP_GRACE_SECONDS)

    async def confirm_cancelled(self, instance_id: str, grace_seconds: float) -> bool:
        """End the process of an instance that was told to cancel; False when it is not watched here.

        The process has `grace_seconds` to obey the cancel signal by itself, then it is killed. Returns once it is dead
        and core knows; raises `StopError` when that takes too long.
        """
        live = self._live.get(instance_id)
        if live is None or live.task is None:
            return False
        live.stop_reason = TerminationReason.CANCELLED
        done, _ = await asyncio.wait({live.task}, timeout=grace_seconds)
        if not done:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(live.started.wait(), STOP_GRACE_SECONDS)
            if live.process is not None:
                await live.process.stop(min(grace_seconds, 1.0))
            done, _ = await asyncio.wait({live.task}, timeout=STOP_GRACE_SECONDS)
        if not done:
            raise StopError(f"the end of instance {instance_id} is not confirmed yet: ask for its status")
        return True

    async def _end_process(self, live: LiveLaunch, grace_seconds: float) -> None:
        await live.started.wait()
        while live.process is not None:
            try:
                await live.process.stop(grace_seconds)
                return
            except StopError as error:
                logger.error("instance %s: %s", live.key.instance_id, error)
            await self._clock.sleep(_STOP_AGAIN_SECONDS)
