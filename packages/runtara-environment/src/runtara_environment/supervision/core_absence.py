"""Notices that core is away, for those who would otherwise wait for what only core can do."""

from __future__ import annotations

import asyncio
import logging

from runtara_core.management import CoreManagement
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

logger = logging.getLogger(__name__)

AWAY_SECONDS = 10.0
"""How long core may be silent before it counts as away: less than that is a restart."""

_ASK_SECONDS = 1.0


async def until_core_is_away(core: CoreManagement, clock: Clock) -> None:
    """Return once neither core nor its database has answered for `AWAY_SECONDS`."""
    silent_since_ms: int | None = None
    while True:
        asked_at_ms = clock.now_ms()
        if await _answers(core):
            silent_since_ms = None
        elif silent_since_ms is None or asked_at_ms < silent_since_ms:  # the clock may have been set back
            silent_since_ms = asked_at_ms
        if silent_since_ms is not None and clock.now_ms() - silent_since_ms >= AWAY_SECONDS * 1000:
            return
        await clock.sleep(_ASK_SECONDS)


async def _answers(core: CoreManagement) -> bool:
    try:
        async with asyncio.timeout(AWAY_SECONDS):
            return (await core.health_check()).healthy
    except (RuntaraError, TimeoutError) as error:
        logger.debug("core does not answer: %s", error)
        return False
