"""Keeps the leases of the launches that are watched here, and ends those whose lease was lost."""

from __future__ import annotations

import asyncio
import logging

from runtara_core.management import CoreManagement
from runtara_core.models import LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import DeadlineExceededError, RuntaraError

from runtara_environment.supervision.ending import Ending
from runtara_environment.supervision.live_launch import LiveLaunch, LiveLaunches

logger = logging.getLogger(__name__)

_RENEWALS = 6
"""In the length of a lease. A host may stall for five parts of the six before others take its work."""

_AGAIN_SECONDS = 1.0
_LINGERING_MS = 30_000
"""How long a process may take to exit after its instance has left running."""

_LEFT_MS = 60_000
"""How long launches that are left running wait for the next environment of their host, before others take them."""

_LEAVING_SECONDS = 2.0


class Leases:
    """The leases of `live`, each `lease_ms` long and renewed six times in that span."""

    def __init__(
        self, core: CoreManagement, owner: str, clock: Clock, lease_ms: int, live: LiveLaunches, ending: Ending
    ) -> None:
        self._core = core
        self._owner = owner
        self._clock = clock
        self._lease_ms = lease_ms
        self._live = live
        self._ending = ending
        self._renewed_at_ms = 0

    async def keep_renewing(self) -> None:
        """Renew until cancelled."""
        interval = self._lease_ms / 1000 / _RENEWALS
        pause = interval
        while True:
            await self._clock.sleep(pause)
            pause = min(interval, _AGAIN_SECONDS)
            try:
                await self._renew()
                pause = interval
            except RuntaraError as error:
                logger.warning("cannot renew leases: %s", error)
            except Exception:
                logger.exception("renewing leases went wrong")

    async def renew_when_due(self) -> None:
        """Before a claim: leases that ran out while core was away are ours again before they can be handed out."""
        if self._clock.now_ms() - self._renewed_at_ms > self._lease_ms // 3:
            await self._renew()

    async def take(self, keys: list[LeaseKey]) -> None:
        """Make the leases of launches that were taken over this owner's."""
        await self._core.renew_leases(self._owner, keys, lease_ms=self._lease_ms)

    async def leave(self) -> None:
        """Leave what runs to the next environment of this host, which may take a while to start."""
        keys = [live.key for live in self._live.values()]
        if keys:
            try:
                await self._extend(keys, max(self._lease_ms, _LEFT_MS), _LEAVING_SECONDS)
            except RuntaraError as error:
                logger.warning("others may take what is left running within %g s: %s", self._lease_ms / 1000, error)

    async def _extend(self, keys: list[LeaseKey], lease_ms: int, seconds: float) -> list[LeaseKey]:
        try:
            async with asyncio.timeout(seconds):
                return await self._core.renew_leases(self._owner, keys, lease_ms=lease_ms)
        except TimeoutError:
            raise DeadlineExceededError(f"core did not renew {len(keys)} leases within {seconds:g} s") from None

    async def _renew(self) -> None:
        keys = [live.key for live in self._live.values()]
        now_ms = self._clock.now_ms()
        lost: list[LeaseKey] = []
        if keys:
            # A call that hangs must not keep the next one from being in time.
            lost = await self._extend(keys, self._lease_ms, self._lease_ms / 3000)
        self._renewed_at_ms = now_ms
        for key in lost:
            live = self._live.get(key.instance_id)
            if live is not None and live.key == key:
                await self._settle_lost(live, now_ms)

    async def _settle_lost(self, live: LiveLaunch, now_ms: int) -> None:
        key = live.key
        instance = await self._core.get_instance(key.instance_id)
        if instance is not None and instance.epoch == key.epoch:
            # The instance reported its own end, and its process is about to exit.
            if live.left_running_at_ms is None:
                live.left_running_at_ms = now_ms
            if now_ms - live.left_running_at_ms < _LINGERING_MS:
                return
            logger.warning("instance %s is %s, its process lingers and is ended", key.instance_id, instance.status)
        else:
            logger.warning("instance %s epoch %d was taken over", key.instance_id, key.epoch)
        self._ending.begin(live)
