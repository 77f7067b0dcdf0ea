"""The runner: processes of the host, none of which is without bounds.

`runtara_environment.runner.Runner` is the contract. This runner leaves the work to the one that comes with the
environment and changes what is asked of it. So each method below is a place to make the runner your own: start the
program in another way in `launch`, and find it again in `attach` by what `LaunchedProcess.state` says.
`tests/test_conformance.py` holds whatever you write to the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from runtara_environment.runner import MEBIBYTE, LaunchedProcess, LaunchSpec, Limits, Runner, RunnerProbe
from runtara_environment.runners.native import NativeRunner

MEMORY_BYTES = 2048 * MEBIBYTE
FILE_SIZE_BYTES = 10240 * MEBIBYTE
OPEN_FILES = 1024


class BoundedRunner(Runner):
    """Plain processes with a bound of memory, of file size and of open files, where the launch names none."""

    runner_type: ClassVar[str] = "{{ cookiecutter.name }}"

    def __init__(self) -> None:
        self._processes = NativeRunner()

    async def probe(self) -> RunnerProbe:
        """What works on this host. `isolation` stays `none`: bounds keep no program from reading what another has."""
        return await self._processes.probe()

    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        """Start the program with the bounds."""
        return await self._processes.launch(replace(spec, limits=bounded(spec.limits)))

    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        """Find a launch of this or of an earlier daemon; its bounds stay what they were."""
        return await self._processes.attach(state)


def bounded(limits: Limits) -> Limits:
    """The limits, with this runner's own where there is none."""
    return replace(
        limits,
        memory_bytes=MEMORY_BYTES if limits.memory_bytes is None else limits.memory_bytes,
        file_size_bytes=FILE_SIZE_BYTES if limits.file_size_bytes is None else limits.file_size_bytes,
        open_files=OPEN_FILES if limits.open_files is None else limits.open_files,
    )
