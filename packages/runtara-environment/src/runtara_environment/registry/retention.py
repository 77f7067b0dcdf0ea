"""Removal of versions of images that nobody has used for long, and of artifacts and layers that no image has.

A version goes when all of this holds: it was neither registered nor started for the maximum age; no unfinished instance
was started with it; and it is not what its name points to, unless the name has no other version left. A start marks its
version as used before its instance is there, and the removal names the age once more, so a version that is just being
started stays. A failed or cancelled instance does not hold its version: its retry is refused once that is gone.

An artifact goes from this host when no database says that an image of it has the artifact, for an hour at least: until
then what ran from it has ended. Each artifact names the databases that use it; one that an earlier version has stored
names none, and stays until a database that has it is seen. Rows are looked for while no registration can end
(`store_lock`), so neither an upload nor what it was made for loses a file. Layers go when no artifact here has them,
whichever database that is of.

Killed anywhere, this leaves an artifact without its row, or something put aside; the next pass goes on with both.
"""

from __future__ import annotations

import asyncio
import logging

from runtara_core.database import Database, Row, Transaction
from runtara_core.management import CoreManagement
from runtara_core.models import InstanceFilter
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidInputError, RuntaraError
from runtara_sdk.models import InstanceStatus

from runtara_environment.database_identity import DatabaseIdentity
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.registry.artifact_files import ArtifactDirectory, artifact_directories
from runtara_environment.registry.artifact_store import ArtifactStore
from runtara_environment.registry.durable_files import put_aside, remove

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""After each batch, for everybody else who wants the database or the disk."""
UNNEEDED_FOR_MS = 3_600_000
MAX_UNFINISHED = 1_000
"""With more unfinished instances an image keeps all its versions: which of them are needed would take too long."""

_DAY_MS = 86_400_000
_UNFINISHED = tuple(status for status in InstanceStatus if not status.is_terminal)


class ImageRetention:
    """Retention of the images of one database, with the artifacts of one host."""

    def __init__(
        self,
        database: Database,
        core: CoreManagement,
        store: ArtifactStore,
        clock: Clock,
        *,
        max_age_days: int,
        batch_size: int,
        poll_interval_seconds: int,
    ) -> None:
        self._database = database
        self._identity = DatabaseIdentity(database)
        self._core = core
        self._store = store
        self._clock = clock
        self._max_age_ms = max_age_days * _DAY_MS
        self._batch_size = batch_size
        self._poll_interval_seconds = poll_interval_seconds
        self._unneeded_since_ms: dict[str, int] = {}

    async def keep_removing(self) -> None:
        """A pass after every interval, until cancelled."""
        while True:
            await self._clock.sleep(self._poll_interval_seconds)
            try:
                await self.remove_unneeded()
            except (OSError, RuntaraError) as error:
                logger.warning("images were not cleaned up: %s", error)
            except Exception:
                logger.exception("images were not cleaned up")

    async def remove_unneeded(self) -> tuple[int, int, int]:
        """One pass; returns how many versions, artifacts and layers were removed. Raises `RuntaraError`, `OSError`."""
        versions = await self._remove_versions()
        await asyncio.to_thread(self._store.remove_leftovers)
        artifacts = await self._remove_artifacts()
        layers = await self._remove_layers()
        if versions or artifacts or layers:
            logger.info("removed %d versions of images, %d artifacts and %d layers", versions, artifacts, layers)
        return versions, artifacts, layers

    # Versions

    async def _remove_versions(self) -> int:
        before_ms = self._clock.now_ms() - self._max_age_ms
        removed = 0
        after_image_id, after_version = "", 0
        in_use: dict[str, frozenset[str] | None] = {}
        while batch := await self._old_versions(before_ms, after_image_id, after_version):
            for row in batch:
                after_image_id, after_version = row["image_id"], row["version"]
                if after_image_id not in in_use:
                    in_use = {after_image_id: await self._digests_in_use(after_image_id)}
                digests = in_use[after_image_id]
                if digests is not None and row["digest"] not in digests:
                    removed += await self._remove_version(after_image_id, after_version, before_ms)
            if len(batch) < self._batch_size:
                break
            await self._clock.sleep(PAUSE_SECONDS)
        return removed

    async def _old_versions(self, before_ms: int, after_image_id: str, after_version: int) -> list[Row]:
        async def work(transaction: Transaction) -> list[Row]:
            return list(
                await transaction.fetch_all(
                    "list_old_image_versions",
                    before_ms=before_ms,
                    after_image_id=after_image_id,
                    after_version=after_version,
                    page_limit=self._batch_size,
                )
            )

        return await self._database.run(work, operation="old image versions", read_only=True)

    async def _digests_in_use(self, image_id: str) -> frozenset[str] | None:
        """The artifacts that unfinished instances of an image were started with; None when that is not known."""
        page = await self._core.list_instances(
            InstanceFilter(statuses=_UNFINISHED, image_ids=(image_id,), limit=MAX_UNFINISHED)
        )
        if page.total_count > len(page.instances):
            return None
        digests = set()
        for listed in page.instances:
            instance = await self._core.get_instance(listed.instance_id)
            if instance is None:
                continue
            try:
                digests.add(LaunchOptions.decode(instance.launch_options).digest)
            except InvalidInputError:  # of a later version of this daemon
                return None
        return frozenset(digests)

    async def _remove_version(self, image_id: str, version: int, before_ms: int) -> int:
        async def work(transaction: Transaction) -> int:
            await transaction.fetch_one("lock_image_by_id", image_id=image_id)
            removed = await transaction.execute(
                "delete_old_image_version", image_id=image_id, version=version, before_ms=before_ms
            )
            if removed:
                await transaction.execute("delete_image_without_versions", image_id=image_id)
            return removed

        return await self._database.run(work, operation="remove image version")

    # Artifacts and layers

    async def _remove_artifacts(self) -> int:
        database_id = await self._identity.get()
        removed = 0
        directories = await asyncio.to_thread(lambda: list(artifact_directories(self._store.images)))
        for number, directory in enumerate(directories, 1):
            removed += await self._settle(directory, database_id)
            if number % self._batch_size == 0:
                await self._clock.sleep(PAUSE_SECONDS)
        return removed

    async def _settle(self, directory: ArtifactDirectory, database_id: str) -> bool:
        """Mark an artifact that an image of this database has; remove one that nobody has. Whether it was."""
        digest = directory.path.name
        users = await asyncio.to_thread(directory.users)
        if await self._has_row(digest):
            self._unneeded_since_ms.pop(digest, None)
            if database_id not in users:
                async with self._store.lock.shared():
                    await asyncio.to_thread(directory.mark_used, database_id)
            return False
        if database_id not in users or not self._is_unneeded_for_long(digest):
            return False
        async with self._store.lock.alone():
            if await self._has_row(digest):
                return False
            if await asyncio.to_thread(directory.users) != {database_id}:
                await asyncio.to_thread(directory.unmark, database_id)
                return False
            aside = await asyncio.to_thread(put_aside, directory.path)
        self._unneeded_since_ms.pop(digest, None)
        await asyncio.to_thread(remove, aside)
        return True

    async def _has_row(self, digest: str) -> bool:
        async def work(transaction: Transaction) -> bool:
            return await transaction.fetch_one("find_image_version_by_digest", digest=digest) is not None

        return await self._database.run(work, operation="find artifact", read_only=True)

    async def _remove_layers(self) -> int:
        present, needed = await asyncio.to_thread(lambda: (self._store.layers.digests(), self._store.needed_layers()))
        for digest in needed:
            self._unneeded_since_ms.pop(f"layer {digest}", None)
        unneeded = [each for each in present if each not in needed and self._is_unneeded_for_long(f"layer {each}")]
        return len(await self._store.remove_unneeded_layers(unneeded)) if unneeded else 0

    def _is_unneeded_for_long(self, what: str) -> bool:
        now_ms = self._clock.now_ms()
        since_ms = self._unneeded_since_ms.setdefault(what, now_ms)
        if since_ms > now_ms:  # the clock was set back
            self._unneeded_since_ms[what] = now_ms
        return now_ms - since_ms >= UNNEEDED_FOR_MS
