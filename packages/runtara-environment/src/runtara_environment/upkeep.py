"""What an environment does to its data directory now and then, beside its launches."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from runtara_core.database import Database
from runtara_core.management import CoreManagement
from runtara_sdk.clock import Clock

from runtara_environment.fetching.copies_upkeep import CopiesUpkeep
from runtara_environment.launch_table import LaunchTable
from runtara_environment.registry.artifact_store import ArtifactStore
from runtara_environment.registry.retention import ImageRetention
from runtara_environment.registry.scrub import ArtifactScrub
from runtara_environment.settings import RegistrySettings
from runtara_environment.supervision.run_directory_sweep import RunDirectorySweep


class Upkeep:
    """Removes run directories of instances that are gone, and images and copies that nobody needs.

    It also reads artifacts through, and puts missing copies into shared places.
    """

    def __init__(
        self,
        database: Database,
        core: CoreManagement,
        launches: LaunchTable,
        artifacts: ArtifactStore,
        data_dir: Path,
        clock: Clock,
        settings: RegistrySettings,
        copies: CopiesUpkeep,
    ) -> None:
        self._sweep = RunDirectorySweep(data_dir, core, launches, clock)
        self._scrub = ArtifactScrub(artifacts, clock)
        self._copies = copies
        self._settings = settings
        self._retention: ImageRetention | None = None
        if settings.cleanup_enabled:
            self._retention = ImageRetention(
                database,
                core,
                artifacts,
                clock,
                max_age_days=settings.cleanup_max_age_days,
                batch_size=settings.cleanup_batch_size,
                poll_interval_seconds=settings.cleanup_poll_interval_seconds,
            )
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each work goes on until `close`."""
        self._begin(self._sweep.keep_sweeping(), "sweep run directories")
        self._begin(self._scrub.keep_scrubbing(), "read artifacts through")
        if self._retention is not None:
            self._begin(self._retention.keep_removing(), "clean up images")
        if self._copies.has_places:
            self._begin(self._copies.keep_putting(), "put missing copies")
            if self._settings.cleanup_enabled:
                interval, batch = self._settings.cleanup_poll_interval_seconds, self._settings.cleanup_batch_size
                self._begin(self._copies.keep_removing(interval, batch), "clean up copies")

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    async def close(self) -> None:
        """End. Each work may be ended anywhere; harmless to repeat."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
