"""A runner whose processes are objects in memory: a test decides when and how each of them ends.

A fake, for tests of supervision only: nothing is executed, so the conformance suite does not apply. What supervision
relies on is the same as for real runners, and tested: an epoch launches once, `attach` finds running and ended launches
from either state and settles what was never started, `wait` answers for ever and to any number of callers.

Processes live as long as the runner object: hand the same one to a second supervisor, and it stands for a host on which
the first environment died.

| What a test wants | |
|---|---|
| an exit, a crash, an end that nobody saw | `runner.newest.end(3)`, `.end(-9)`, `.end(None)` |
| memory, processor time, timeout, want of memory | `.end(0, memory_peak_bytes=1, timed_out=True)` and so on |
| launches that end by themselves | `runner.exits = [ProcessExit(-9), ProcessExit(0)]` |
| a launch that fails, or takes its time | `runner.launch_errors`, `runner.hold` |
| a program that hangs, or cannot be killed | `process.obeys_stop = False`, `process.immortal = True` |
| a restart of the host | `runner.reboot()` |
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from runtara_environment.runner import (
    DEFAULT_TAIL_BYTES,
    LaunchedProcess,
    LaunchError,
    LaunchSpec,
    ProcessExit,
    Runner,
    RunnerProbe,
    StopError,
)

_KILLED = ProcessExit(-9)
_TERMINATED = ProcessExit(-15)


class MockProcess(LaunchedProcess):
    """One launch.

    Attributes:
        spec: what was launched.
        obeys_stop: ends when asked to (-15); else it is killed after the grace (-9).
        immortal: survives everything but `end`; `stop` raises `StopError`.
        stderr: what `output_tail` returns for either stream.
        grace_seconds: what the stops so far granted.
    """

    def __init__(self, spec: LaunchSpec) -> None:
        self.spec = spec
        self.obeys_stop = True
        self.immortal = False
        self.stderr = ""
        self.grace_seconds: list[float] = []
        self._exit: asyncio.Future[ProcessExit] = asyncio.get_running_loop().create_future()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return not self._exit.done()

    def end(self, exit_code: int | None = 0, **details: Any) -> None:
        """Let it end; `details` are further fields of `ProcessExit`."""
        self.finish(ProcessExit(exit_code, **details))

    @property
    def state(self) -> dict[str, Any]:
        return {"run_directory": str(self.spec.run_directory), "epoch": self.spec.epoch, "started": True}

    async def wait(self) -> ProcessExit:
        return await asyncio.shield(self._exit)

    async def stop(self, grace_seconds: float) -> ProcessExit:
        self.grace_seconds.append(grace_seconds)
        if self.is_alive and self.immortal:
            raise StopError(f"the process of epoch {self.spec.epoch} does not die")
        self.finish(_TERMINATED if grace_seconds > 0 and self.obeys_stop else _KILLED)
        return await self.wait()

    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        return self.stderr.encode()[-limit_bytes:].decode(errors="replace")

    def finish(self, end: ProcessExit) -> None:
        """Let it end in a given way; nothing happens when it has ended."""
        if not self._exit.done():
            self._exit.set_result(end)


class MockRunner(Runner):
    """Launches `MockProcess`es.

    Attributes:
        processes: by (run directory, epoch), in the order of their launch.
        launch_errors: raised by the next launches, one each, first one first.
        exits: how the next launches end, one each, as soon as they have started; those after them run on.
        hold: while it is not set, launches wait: a slow runner.
    """

    runner_type: ClassVar[str] = "mock"

    def __init__(self) -> None:
        self.processes: dict[tuple[str, int], MockProcess] = {}
        self.launch_errors: list[LaunchError] = []
        self.exits: list[ProcessExit] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._given_up: set[tuple[str, int]] = set()

    @property
    def newest(self) -> MockProcess:
        """The process launched last."""
        return next(reversed(self.processes.values()))

    @property
    def alive(self) -> list[MockProcess]:
        """Those that have not ended."""
        return [process for process in self.processes.values() if process.is_alive]

    def reboot(self) -> None:
        """End every process, the immortal too, so that nobody knows how it ended."""
        for process in self.alive:
            process.end(None)

    async def probe(self) -> RunnerProbe:
        return RunnerProbe(True, "mock")

    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        await self.hold.wait()
        if self.launch_errors:
            raise self.launch_errors.pop(0)
        key = (str(spec.run_directory), spec.epoch)
        if key in self.processes or key in self._given_up:
            raise LaunchError(f"epoch {spec.epoch} was launched before", permanent=False)
        process = self.processes[key] = MockProcess(spec)
        if self.exits:
            process.finish(self.exits.pop(0))
        return process

    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        key = (str(state["run_directory"]), int(state["epoch"]))
        process = self.processes.get(key)
        if process is None:
            self._given_up.add(key)
        return process
