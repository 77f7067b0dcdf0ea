"""The workspaces of instances as the environment sees them: directories that can be copied for a fork."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from pathlib import Path

from runtara_core.models import Instance
from runtara_sdk.errors import ServerError

from runtara_environment.launch_table import LaunchTable
from runtara_environment.supervision.run_directory import choose_run_directory, find_run_directory

WORKSPACE = "workspace"


class Workspaces:
    """Those below one data directory."""

    def __init__(self, data_dir: Path, launches: LaunchTable) -> None:
        self._data_dir = data_dir
        self._launches = launches

    async def has_files(self, instance: Instance) -> bool:
        """Whether the workspace of an instance holds anything on this host."""
        workspace = await self._find(instance)
        return workspace is not None and await asyncio.to_thread(_has_entries, workspace)

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
            # `shutil` tells of many files at once, each with its reason.
            reason = str(error.args[0])[:500] if error.strerror is None else f"{error.strerror}: {error.filename}"
            raise ServerError(
                f"the files of instance {origin.instance_id} cannot be copied: {reason}; its fork {fork.instance_id} "
                "waits for them: make the same fork again with this id, or cancel it",
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


def _has_entries(workspace: Path) -> bool:
    return workspace.is_dir() and any(entry.name != _partial() for entry in workspace.iterdir())


def _copy(source: Path, target: Path) -> None:
    if target.exists():
        return
    aside = target.with_name(f".{WORKSPACE}.{uuid.uuid4().hex}")
    partial = _partial()

    def half_written(directory: str, _names: list[str]) -> list[str]:
        return [partial] if Path(directory) == source else []

    try:
        shutil.copytree(source, aside, symlinks=True, ignore=half_written, copy_function=_copy_durably)
        aside.chmod(0o700)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy_durably(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    if not Path(target).is_symlink():
        with Path(target).open("rb") as file:
            os.fsync(file.fileno())
