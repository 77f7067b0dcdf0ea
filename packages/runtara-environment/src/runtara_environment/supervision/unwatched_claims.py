"""Gives back what core handed out to a claim that was given up: nobody here would launch it."""

from __future__ import annotations

import logging

from runtara_core.management import CoreManagement
from runtara_core.models import LeaseKey
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.launch_table import LaunchTable
from runtara_environment.supervision.live_launch import LiveLaunches

logger = logging.getLogger(__name__)

_INTERVAL_SECONDS = 1.0
_PAGE = 500
_REASON = "its host stopped claiming before the launch"


class UnwatchedClaims:
    """The claims of `owner` that are not in `live` and have no row, while it does not claim.

    What has a row is not given back: its process may live.
    """

    def __init__(
        self, core: CoreManagement, launches: LaunchTable, owner: str, clock: Clock, lease_ms: int, live: LiveLaunches
    ) -> None:
        self._core = core
        self._launches = launches
        self._owner = owner
        self._clock = clock
        self._lease_ms = lease_ms
        self._live = live

    async def keep_giving_back(self) -> None:
        """Look for the length of a lease: a call that was given up may still be under way in core."""
        for _ in range(max(1, round(self._lease_ms / 1000 / _INTERVAL_SECONDS))):
            try:
                await self._give_back()
            except RuntaraError as error:
                logger.warning("cannot give back claims: %s", error)
            except Exception:
                logger.exception("giving back claims went wrong")
            await self._clock.sleep(_INTERVAL_SECONDS)

    async def _give_back(self) -> None:
        after = ""
        while True:
            page = await self._core.last_contacts(self._owner, after_instance_id=after, limit=_PAGE)
            for contact in page:
                if not await self._is_watched(contact.key):
                    logger.info("instance %s was claimed too late and is given back", contact.instance_id)
                    await self._core.report_launch_failure(contact.key, _REASON, permanent=False, is_due=True)
            if len(page) < _PAGE:
                return
            after = page[-1].instance_id

    async def _is_watched(self, key: LeaseKey) -> bool:
        live = self._live.get(key.instance_id)
        if live is not None and live.key == key:
            return True
        return any(row.epoch == key.epoch for row in await self._launches.of_instance(key.instance_id))
