"""Removal of the run directories of instances that are gone: core has removed their rows.

A directory goes when all of this holds, an hour apart: it carries the name of this database and of an instance, core
knows no such instance, and no launch of it is recorded, on any host, whose end has not been reported. So neither an
instance that can still run loses its files, nor one of another database, nor a process that outlives its instance; and
an environment that was pointed at the wrong core for a moment removes nothing.

The id may be given to a new instance at any time, which then uses the directory. So it is renamed first, and looked at
once more: what was launched in it before the rename is an instance that core knows by then, and gets its directory
back; what is launched later finds none and makes a new one.

A walk through all directories takes them in batches, with a pause after each; the next begins an hour later.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

from runtara_core.management import CoreManagement
from runtara_sdk.clock import Clock
from runtara_sdk.errors import RuntaraError

from runtara_environment.launch_table import LaunchTable
from runtara_environment.supervision.run_directory import instance_of
from runtara_environment.tree_removal import remove_tree

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 3_600
PAUSE_SECONDS = 1.0
BATCH = 50
_GONE_SINCE = "gone-since"
_MAX_MARK_BYTES = 32
_ASIDE = re.compile(r"\.gone-[0-9a-f]{32}-")  # no identifier begins with a dot


class RunDirectorySweep:
    """The run directories below one data directory, as the environment of one database sees them."""

    def __init__(self, data_dir: Path, core: CoreManagement, launches: LaunchTable, clock: Clock) -> None:
        self._data_dir = data_dir
        self._core = core
        self._launches = launches
        self._clock = clock

    async def keep_sweeping(self) -> None:
        """Walk through all directories, now and every hour, until cancelled."""
        while True:
            try:
                removed = await self.sweep()
                if removed:
                    logger.info("removed %d run directories of instances that are gone", removed)
            except (OSError, RuntaraError) as error:
                logger.warning("run directories were not swept: %s", error)
            except Exception:
                logger.exception("run directories were not swept")
            await self._clock.sleep(INTERVAL_SECONDS)

    async def sweep(self) -> int:
        """One walk; returns how many directories were removed. Raises `RuntaraError` when core does not answer."""
        database_id = await self._launches.database_id()
        removed = 0
        directories = _run_directories(self._data_dir)
        while batch := await asyncio.to_thread(lambda: list(itertools.islice(directories, BATCH))):
            for directory in batch:
                instance_id = await asyncio.to_thread(instance_of, directory, database_id)
                if instance_id is not None:
                    removed += await self._settle(directory, instance_id)
            await self._clock.sleep(PAUSE_SECONDS)
        return removed

    async def _settle(self, directory: Path, instance_id: str) -> bool:
        """Remove the directory of an instance that is gone, and has been for an hour; whether it was."""
        gone = await self._is_gone(instance_id)
        try:
            if not gone:
                await asyncio.to_thread(_keep, directory)
                return False
            since_ms = await asyncio.to_thread(_gone_since, directory, self._clock.now_ms())
            if self._clock.now_ms() - since_ms < INTERVAL_SECONDS * 1_000:
                return False
            aside = await asyncio.to_thread(_put_aside, directory)
            try:
                gone = await self._is_gone(instance_id)
            except BaseException:
                _keep(aside)
                raise
            if not gone:
                await asyncio.to_thread(_keep, aside)
                return False
            await asyncio.to_thread(remove_tree, aside)
        except OSError as error:
            logger.warning("run directory %s is not removed: %s", directory, error.strerror)
            return False
        return True

    async def _is_gone(self, instance_id: str) -> bool:
        # In this order: while a launch is recorded its row stays, and a later one needs an instance that exists.
        return not await self._launches.of_instance(instance_id) and (
            await self._core.get_instance(instance_id) is None
        )


def _run_directories(data_dir: Path) -> Iterator[Path]:
    """`DATA_DIR/*/runs/*`, read as it is asked for."""
    with contextlib.suppress(FileNotFoundError), os.scandir(data_dir) as tenants:
        for tenant in tenants:
            if tenant.is_dir(follow_symlinks=False):
                yield from _directories(Path(tenant.path) / "runs")


def _directories(runs: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(runs) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _gone_since(directory: Path, now_ms: int) -> int:
    """When the instance was first found gone: now, when nobody had noticed."""
    mark = directory / _GONE_SINCE
    with contextlib.suppress(OSError, ValueError):
        since_ms = int(_read_own(mark))
        if since_ms <= now_ms:
            return since_ms
    # A program may have put anything in its place, such as a link to a file that is not to be written.
    if mark.is_dir() and not mark.is_symlink():
        remove_tree(mark)
    mark.unlink(missing_ok=True)
    with os.fdopen(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(str(now_ms).encode())
    return now_ms


def _read_own(mark: Path) -> bytes:
    """The content of a mark of this user's; empty for what is none."""
    descriptor = os.open(mark, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        return os.read(descriptor, _MAX_MARK_BYTES) if is_own else b""
    finally:
        os.close(descriptor)


def _put_aside(directory: Path) -> Path:
    if _ASIDE.match(directory.name):  # a walk was killed after this
        return directory
    return directory.rename(directory.with_name(f".gone-{uuid.uuid4().hex}-{directory.name}"))


def _keep(directory: Path) -> None:
    """Let a directory that is not gone be what it was."""
    (directory / _GONE_SINCE).unlink(missing_ok=True)
    if _ASIDE.match(directory.name):
        # What a launch has made there meanwhile is not empty, so it is never replaced.
        with contextlib.suppress(OSError):
            directory.rename(directory.with_name(_ASIDE.sub("", directory.name)))
