"""The runner `background`: plain processes that leave most of the processor to others who want it.

It launches through the native runner, which keeps every promise of the contract that has to do with processes: it owns
them by a process of their own, bounds their output, and finds them again after the environment was killed. This runner
puts a small program in front of the one that is asked for, and tells what became of that.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from runtara_environment.runner import (
    DEFAULT_TAIL_BYTES,
    LaunchedProcess,
    LaunchError,
    LaunchSpec,
    ProcessExit,
    Runner,
    RunnerProbe,
)
from runtara_environment.runners.native import NativeRunner

from acme_background import wrapper

_MAY_PASS = frozenset({errno.EAGAIN, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOMEM, errno.ETXTBSY})
"""What exec says on a host that lacks something; other errors are those of the program."""


class BackgroundProcess(LaunchedProcess):
    """A process of the native runner, with the file in which the wrapper says why it could not become the program."""

    def __init__(self, process: LaunchedProcess, program: str, refusal: Path) -> None:
        self._process = process
        self._program = program
        self._refusal = refusal

    @property
    def state(self) -> dict[str, Any]:
        return {**self._process.state, "program": self._program, "refusal": str(self._refusal)}

    async def wait(self) -> ProcessExit:
        return await asyncio.to_thread(self._told, await self._process.wait())

    async def stop(self, grace_seconds: float) -> ProcessExit:
        return await asyncio.to_thread(self._told, await self._process.stop(grace_seconds))

    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        return await self._process.output_tail(stream, limit_bytes=limit_bytes)

    def _told(self, end: ProcessExit) -> ProcessExit:
        if end.exit_code != wrapper.NOT_EXECUTED or not self._refusal.exists():
            return end
        number = int(self._refusal.read_text(encoding="ascii") or errno.EIO)
        reason = os.strerror(number)
        if number == errno.ENOENT and Path(self._program).exists():
            reason = "its interpreter does not exist"
        return ProcessExit(
            None,
            started=False,
            error=f"cannot execute {self._program}: {reason}",
            permanent=number not in _MAY_PASS,
        )


class BackgroundRunner(Runner):
    """Runs programs with a lower priority than the environment has."""

    runner_type: ClassVar[str] = "background"

    def __init__(self) -> None:
        self._native = NativeRunner()

    async def probe(self) -> RunnerProbe:
        return await self._native.probe()

    def planned_state(self, spec: LaunchSpec) -> dict[str, Any]:
        refusal = str(_refusal(spec))
        return {**self._native.planned_state(spec), "program": spec.argv[0], "refusal": refusal}

    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        if not spec.argv or not spec.argv[0].startswith("/"):
            raise LaunchError("argv must begin with the absolute path of the program", permanent=True)
        refusal = _refusal(spec)
        front = (sys.executable, "-I", "-S", wrapper.__file__, str(refusal))
        process = await self._native.launch(replace(spec, argv=(*front, *spec.argv)))
        return BackgroundProcess(process, spec.argv[0], refusal)

    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        process = await self._native.attach(state)
        return process and BackgroundProcess(process, str(state["program"]), Path(str(state["refusal"])))


def _refusal(spec: LaunchSpec) -> Path:
    return spec.run_directory / f"background-{spec.epoch}.refusal"
