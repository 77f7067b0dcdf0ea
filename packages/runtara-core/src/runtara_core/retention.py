"""Removal of finished instances: a pass at the start of a daemon or embedded program, then one every interval.

A pass works in batches of one transaction each and goes on while a batch comes back full. It yields between batches, so
that callers of the database get in between. A pass that fails is logged and made up for by the next one. Several
daemons on one database share the work without waiting for each other.
"""

from __future__ import annotations

import logging

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_core.retention_settings import RetentionSettings
from runtara_core.storage import Storage

logger = logging.getLogger(__name__)

_DAY_MS = 86_400_000
_MAX_BATCHES = 10_000


async def keep_removing_finished(
    storage: Storage, clock: Clock, settings: RetentionSettings, *, pause_seconds: float = 0
) -> None:
    """Remove finished instances, now and every interval, until cancelled; see `remove_finished`."""
    while True:
        try:
            await remove_finished(storage, clock, settings, pause_seconds=pause_seconds)
        except RuntaraError as error:
            logger.warning("finished instances were not removed: %s", error)
        except Exception:
            logger.exception("finished instances were not removed")
        await clock.sleep(settings.poll_interval_seconds)


async def remove_finished(
    storage: Storage, clock: Clock, settings: RetentionSettings, *, pause_seconds: float = 0
) -> int:
    """One pass: remove what finished longer than the maximum age ago; returns how many.

    Pauses for `pause_seconds` after each batch. Raises `StorageError`.
    """
    finished_before_ms = clock.now_ms() - settings.max_age_days * _DAY_MS
    removed = 0
    for _ in range(_MAX_BATCHES):
        batch = await storage.delete_finished(finished_before_ms=finished_before_ms, limit=settings.batch_size)
        removed += batch
        if batch < settings.batch_size:
            break
        await clock.sleep(pause_seconds)
    if removed:
        logger.info("removed %d instances that finished more than %d days ago", removed, settings.max_age_days)
    return removed
