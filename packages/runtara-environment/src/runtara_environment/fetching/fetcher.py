"""Brings artifacts to this host: each digest once at a time, few at a time, checked before they are there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.fetching.attempt import Attempt
from runtara_environment.fetching.damaged_places import DamagedPlaces
from runtara_environment.fetching.source import ArtifactSource
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError

logger = logging.getLogger(__name__)

_AT_ONCE = 2
_MAX_WAITING = 1_000
"""Most fetches that run or wait; what is beyond is asked for again with the next claim."""

_MAX_FAILURES = 1_000


class ArtifactFetcher:
    """Fetches from `sources`, the first first. `on_arrival` is told of each artifact that has come."""

    def __init__(
        self,
        store: ArtifactStore,
        sources: Sequence[ArtifactSource],
        on_arrival: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._store = store
        self._sources = tuple(sources)
        self._on_arrival = on_arrival
        self._damaged = DamagedPlaces(clock)
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, str] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def places(self) -> str:
        """The names of the sources, for people; empty when there are none."""
        return ", ".join(source.name for source in self._sources)

    def begin(self, digest: str, size_bytes: int, arrived: Callable[[], None]) -> str:
        """Begin to fetch an artifact in the background; `arrived` is called once it is here.

        Returns what people should know of it: where it is looked for, and why that failed the last time.
        """
        if not self._sources:
            return "no place to fetch it from is configured (RUNTARA_IMAGE_SOURCES)"
        failure = self._failures.get(digest)
        known = f"; the last attempt failed: {failure}" if failure else ""
        if digest not in self._fetches and len(self._fetches) >= _MAX_WAITING:
            return f"too many artifacts are being fetched{known}"
        self._task(digest, size_bytes).add_done_callback(lambda task: arrived() if _succeeded(task) else None)
        return f"it is being fetched from {self.places}{known}"

    async def fetch(self, digest: str, size_bytes: int) -> None:
        """Have an artifact on this host; raises `ArtifactUnavailableError` when no source gives it."""
        if digest not in self._fetches and len(self._fetches) >= _MAX_WAITING:
            raise ArtifactUnavailableError("too many artifacts are being fetched: ask again later")
        # The fetch is shared: whoever gives up waiting does not end it for the others.
        await asyncio.shield(self._task(digest, size_bytes))

    async def close(self) -> None:
        """End what is under way; nothing half-done stays."""
        tasks = list(self._fetches.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _task(self, digest: str, size_bytes: int) -> asyncio.Task[None]:
        task = self._fetches.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest, size_bytes), name=f"fetch {digest[:12]}")
            self._fetches[digest] = task
            task.add_done_callback(lambda _: self._fetches.pop(digest, None))
            task.add_done_callback(_succeeded)  # its failure is not lost when nobody waits
        return task

    async def _fetch(self, digest: str, size_bytes: int) -> None:
        async with self._slots:
            attempt = Attempt(self._store, self._sources, self._damaged, digest, size_bytes)
            try:
                await attempt.run()
            except RuntaraError as error:
                self._remember_failure(digest, error.message)
                raise ArtifactUnavailableError(f"artifact {digest[:12]} cannot be fetched: {error.message}") from error
            self._failures.pop(digest, None)
        await self._tell_of_arrival(digest)

    def _remember_failure(self, digest: str, failure: str) -> None:
        if self._failures.pop(digest, None) != failure:  # the same again is no news
            logger.warning("artifact %s cannot be fetched: %s", digest[:12], failure)
        self._failures[digest] = failure
        while len(self._failures) > _MAX_FAILURES:
            del self._failures[next(iter(self._failures))]

    async def _tell_of_arrival(self, digest: str) -> None:
        try:
            await self._on_arrival()
        except RuntaraError as error:  # it is here all the same
            logger.warning("others are not told yet that artifact %s is here: %s", digest[:12], error)


def _succeeded(task: asyncio.Task[None]) -> bool:
    return not task.cancelled() and task.exception() is None
