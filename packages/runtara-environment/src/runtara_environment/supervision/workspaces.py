"""The workspaces of instances as the environment sees them: directories that can be copied for a fork.

A copy takes as long as the files are many and large. So copies have threads of their own, and tenants take turns at
them. Nobody who leaves ends a copy: whoever asks for the fork again waits for the same one.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from pathlib import Path

from runtara_core.models import Instance
from runtara_sdk.errors import ServerError

from runtara_environment.call_slots import CallSlots, NoSlotError
from runtara_environment.launch_table import LaunchTable
from runtara_environment.own_threads import OwnThreads
from runtara_environment.registry.durable_files import flush_directory
from runtara_environment.supervision.file_copies import copy_directory, has_entries
from runtara_environment.supervision.run_directory import choose_run_directory, find_run_directory
from runtara_environment.tree_removal import remove_tree

WORKSPACE = "workspace"

_AT_ONCE = 2
"""Most copies at a time; of one tenant half of them."""

_MAX_WAITING = 64
_WAIT_SECONDS = 20.0
_CLOSE_SECONDS = 10.0


class Workspaces:
    """Those below one data directory.

    Args:
        data_dir: the data directory.
        launches: knows the name of the database.
        wait_seconds: how long a copy waits for its turn.
    """

    def __init__(self, data_dir: Path, launches: LaunchTable, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._data_dir = data_dir
        self._launches = launches
        self._slots = CallSlots(_AT_ONCE, max_waiting=_MAX_WAITING, wait_seconds=wait_seconds)
        self._threads = OwnThreads(_AT_ONCE, "copy of a workspace")
        self._copies: dict[str, asyncio.Task[None]] = {}
        self._ends = threading.Event()

    async def has_files(self, instance: Instance) -> bool:
        """Whether the workspace of an instance holds anything on this host."""
        workspace = await self._find(instance)
        return workspace is not None and await asyncio.to_thread(has_entries, workspace, without=_partial())

    async def copy(self, origin: Instance, fork: Instance) -> None:
        """Give a fork the files of its origin; a fork that has a workspace keeps it.

        They survive a power failure from then on. Files that the origin has half-written are left behind. Raises
        `ServerError` naming the file that cannot be copied, or that too many forks wait for their files.
        """
        task = self._copies.get(fork.instance_id)
        if task is None:
            task = asyncio.create_task(self._copy(origin, fork), name=f"files of {fork.instance_id}")
            self._copies[fork.instance_id] = task
            task.add_done_callback(lambda done: self._forget(fork.instance_id, done))
        await asyncio.shield(task)

    async def close(self) -> None:
        """End the copies that are under way: their forks stay pending. New ones are refused."""
        self._ends.set()
        if tasks := list(self._copies.values()):
            _, left = await asyncio.wait(tasks, timeout=_CLOSE_SECONDS)
            for task in left:
                task.cancel()

    def _forget(self, fork_id: str, task: asyncio.Task[None]) -> None:
        del self._copies[fork_id]
        if not task.cancelled():
            task.exception()  # is not lost when nobody waits: whoever asks for the fork again meets it again

    async def _copy(self, origin: Instance, fork: Instance) -> None:
        source = await self._find(origin)
        if source is None:
            return
        database_id = await self._launches.database_id()

        def copy() -> None:
            directory = choose_run_directory(self._data_dir, fork.tenant_id, fork.instance_id, database_id)
            _copy(source, directory / WORKSPACE, self._ends)
            # Also when it was there: whoever put it there may have ended before this.
            for each in (directory, *directory.parents):
                flush_directory(each)
                if each == self._data_dir:
                    break

        waits = f"its fork {fork.instance_id} waits for them: make the same fork again with this id, or cancel it"
        try:
            async with self._slots.slot(fork.tenant_id):
                await self._threads.run(copy)
        except NoSlotError:
            raise ServerError(
                f"the files of instance {origin.instance_id} are not copied yet, as those of too many other forks are; "
                f"{waits}",
                code="TOO_MANY_FORKS",
                retryable=True,
            ) from None
        except OSError as error:
            raise ServerError(
                f"the files of instance {origin.instance_id} cannot be copied: {error.strerror}"
                f"{'' if error.filename is None else f': {error.filename}'}; {waits}",
                code="WORKSPACE_COPY_FAILED",
                retryable=True,
            ) from error

    async def _find(self, instance: Instance) -> Path | None:
        run_directory = await asyncio.to_thread(
            find_run_directory,
            self._data_dir,
            instance.tenant_id,
            instance.instance_id,
            await self._launches.database_id(),
        )
        return None if run_directory is None else run_directory / WORKSPACE


def _partial() -> str:
    """The directory of half-written files."""
    from runtara_sdk.agents.workspace import PARTIAL  # with all that agents are made of, which few daemons need

    return PARTIAL


def _copy(source: Path, target: Path, ends: threading.Event | None = None) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{WORKSPACE}.{uuid.uuid4().hex}")
    try:
        copy_directory(source, aside, without=_partial(), ends=ends)
        aside.chmod(0o700)
        flush_directory(aside)
        aside.rename(target)
    finally:
        remove_tree(aside)
