"""The workspaces of instances as the environment sees them: directories that can be copied for a fork."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from runtara_core.models import Instance
from runtara_sdk.errors import ServerError

from runtara_environment.launch_table import LaunchTable
from runtara_environment.supervision.file_copies import copy_directory, has_entries
from runtara_environment.supervision.run_directory import choose_run_directory, find_run_directory
from runtara_environment.tree_removal import remove_tree

WORKSPACE = "workspace"


class Workspaces:
    """Those below one data directory."""

    def __init__(self, data_dir: Path, launches: LaunchTable) -> None:
        self._data_dir = data_dir
        self._launches = launches

    async def has_files(self, instance: Instance) -> bool:
        """Whether the workspace of an instance holds anything on this host."""
        workspace = await self._find(instance)
        return workspace is not None and await asyncio.to_thread(has_entries, workspace, without=_partial())

    async def copy(self, origin: Instance, fork: Instance) -> None:
        """Give a fork the files of its origin; a fork that has a workspace keeps it.

        Files that the origin has half-written are left behind. Raises `ServerError` naming the file that cannot be
        copied.
        """
        source = await self._find(origin)
        if source is None:
            return
        database_id = await self._launches.database_id()

        def copy() -> None:
            directory = choose_run_directory(self._data_dir, fork.tenant_id, fork.instance_id, database_id)
            _copy(source, directory / WORKSPACE)

        try:
            await asyncio.to_thread(copy)
        except OSError as error:
            raise ServerError(
                f"the files of instance {origin.instance_id} cannot be copied: {error.strerror}: {error.filename}; "
                f"its fork {fork.instance_id} waits for them: make the same fork again with this id, or cancel it",
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


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{WORKSPACE}.{uuid.uuid4().hex}")
    try:
        copy_directory(source, aside, without=_partial())
        aside.chmod(0o700)
        aside.rename(target)
    finally:
        remove_tree(aside)
