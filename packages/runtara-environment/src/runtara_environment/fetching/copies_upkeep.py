"""What an environment does to the copies in shared places now and then.

It puts there what is missing: an artifact whose copy was damaged and taken away, or that the place could not take when
the image was registered. Every host does so with what it holds, at times that differ, so a copy is mostly made by one.
With the clean-up of images it also removes what no image has any more. Both are bounded in each round.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import MAX_DIGESTS, ArtifactSource, KeepingSource
from runtara_environment.registry import ArtifactStore

logger = logging.getLogger(__name__)

PUT_INTERVAL_SECONDS = 60.0
MAX_PUT = 8
"""Most artifacts that one round puts into a place."""

_PUT_SECONDS = 600.0
"""How long that may take for one of them."""

_PAUSE_SECONDS = 1.0
_MAX_BATCHES = 100
"""Most batches that one round of a clean-up removes."""


class CopiesUpkeep:
    """The copies that this host looks after, in those of `sources` that keep any."""

    def __init__(
        self, store: ArtifactStore, sources: Sequence[ArtifactSource], needed: NeededArtifacts, clock: Clock
    ) -> None:
        self._store = store
        self._sources = [source for source in sources if isinstance(source, KeepingSource)]
        self._needed = needed
        self._clock = clock
        self._failures: dict[str, str] = {}

    @property
    def has_places(self) -> bool:
        """Whether there is anything to look after."""
        return bool(self._sources)

    async def keep_putting(self) -> None:
        """Put what is missing into every place, about once a minute, until cancelled."""
        while True:
            await self._clock.sleep(PUT_INTERVAL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads hosts
            try:
                await self.put_missing()
            except (OSError, RuntaraError) as error:
                logger.warning("copies of artifacts were not looked after: %s", error)
            except Exception:
                logger.exception("copies of artifacts were not looked after")

    async def put_missing(self) -> int:
        """One round; returns how many copies were made. Raises `RuntaraError`."""
        if not self._sources:
            return 0
        held = sorted(await self._store.digests())
        made = 0
        for source in self._sources:
            try:
                made += await self._put_into(source, held)
            except (RuntaraError, TimeoutError) as error:
                self._tell(source, str(error) or f"it did not take an artifact within {_PUT_SECONDS:g} s")
            else:
                self._tell(source, None)
        return made

    async def _put_into(self, source: KeepingSource, held: Sequence[str]) -> int:
        made = 0
        problem: RuntaraError | None = None
        for first in range(0, len(held), MAX_DIGESTS):
            missing = await source.missing(held[first : first + MAX_DIGESTS])
            needed = await self._needed.of(missing)
            for digest in missing:
                if digest not in needed:
                    continue
                if made == MAX_PUT:
                    return made
                made += 1
                try:
                    async with asyncio.timeout(_PUT_SECONDS):
                        await source.keep(digest, await self._store.open(digest))
                except RuntaraError as error:  # the next one may be whole
                    problem = error
                else:
                    logger.info("artifact %s is put into the %s", digest[:12], source.name)
        if problem is not None:
            raise problem
        return made

    def _tell(self, source: KeepingSource, failure: str | None) -> None:
        """Log a failure once, until it is another one."""
        if failure is None:
            self._failures.pop(source.name, None)
        elif self._failures.get(source.name) != failure:
            self._failures[source.name] = failure
            logger.warning("artifacts are not put into the %s: %s", source.name, failure)

    async def keep_removing(self, interval_seconds: int, batch_size: int) -> None:
        """Remove what no image has, after every interval, until cancelled."""
        while True:
            await self._clock.sleep(interval_seconds)
            try:
                await self.remove_unneeded(batch_size)
            except (OSError, RuntaraError) as error:
                logger.warning("copies of artifacts were not cleaned up: %s", error)
            except Exception:
                logger.exception("copies of artifacts were not cleaned up")

    async def remove_unneeded(self, batch_size: int) -> int:
        """One round; returns how many copies were removed. Raises `RuntaraError`."""
        removed = 0
        for source in self._sources:
            for _ in range(_MAX_BATCHES):
                batch = await source.remove_unneeded(limit=batch_size)
                removed += batch
                if batch < batch_size:
                    break
                await self._clock.sleep(_PAUSE_SECONDS)
        if removed:
            logger.info("removed %d copies of artifacts from shared places", removed)
        return removed
