"""What all checks of a runner stand on: launches of Python code, and waits for conditions."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from runtara_environment.runner import (
    LaunchedProcess,
    LaunchSpec,
    Runner,
)

WAIT_SECONDS = 60.0

SIGN = (
    "import fcntl, os, pathlib, signal, sys, time\n"
    "def sign(name):\n"
    "    global signed\n"
    "    signed = open(name, 'w')\n"
    "    fcntl.flock(signed, fcntl.LOCK_EX)\n"
    "    print(os.getpid(), file=signed, flush=True)\n"
)
"""Write a file that says that a process runs, and hold its lock until the process is dead.

A process id would say nothing: a program may live in a process namespace of its own.
"""
READY = f"{SIGN}sign('ready')\n"
FOREVER = "while True: time.sleep(60)\n"

COMETS = f"""{SIGN}
pathlib.Path('go').touch()
sign('comets')  # the lock is held by all that come from here
end, limit, slots = time.monotonic() + 30, 60, os.open('slots', os.O_RDWR | os.O_CREAT, 0o600)

def take(number):
    try: fcntl.lockf(slots, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number % limit)
    except OSError: return False
    return True

def comet():
    while time.monotonic() < end and os.path.exists('go'):
        for _ in range(3):
            if os.fork() == 0:
                if not any(take(os.getpid() * 7 + number) for number in range(limit)): return
                os.setsid()
                break
        else: return

if os.fork() == 0:
    try: os.setsid(); comet()
    finally: os._exit(0)
while sum(not take(number) for number in range(limit)) < limit // 2: fcntl.lockf(slots, fcntl.LOCK_UN); time.sleep(0.01)
fcntl.lockf(slots, fcntl.LOCK_UN)
pathlib.Path('armed').touch()
while True: time.sleep(60)
"""
"""Processes each of which has a session of its own, makes three like itself and ends, so that who looks is too late.

Up to `limit` live at a time, whichever are killed: each holds a lock as long as it lives. The file `go` ends them.
"""

_LAUNCH_AND_HANG = """
import asyncio, importlib, json, pathlib, sys
from runtara_environment.runner import LaunchSpec
async def main():
    module, name, argv, directory, forget, changes = json.loads(sys.argv[1])  # forget: false, true or "at once"
    runner = getattr(importlib.import_module(module), name)()
    spec = LaunchSpec("i-1", "t-1", 1, tuple(argv), {}, pathlib.Path(directory), **changes)
    planned = runner.planned_state(spec)
    if forget == "at once":
        print(json.dumps(planned), flush=True)
    process = await runner.launch(spec)
    print(json.dumps(planned if forget else process.state), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`; fails after `WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS} s"
        await asyncio.sleep(0.01)
    return value


def is_alive(path: Path) -> bool:
    """Whether the process that signed a file, as `SIGN` does, runs."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_pid(path: Path) -> int:
    """The pid in a file that a program writes, 0 while it has not."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text else 0


class CheckedRunner:
    """What checks launch with; `runner` is overridden."""

    python: str = sys.executable

    @pytest.fixture
    def runner(self) -> Runner:
        """The runner under test."""
        raise NotImplementedError

    @pytest.fixture
    def run_directory(self, tmp_path: Path) -> Path:
        """A run directory of its own for each test."""
        return tmp_path / "run"

    @pytest.fixture
    async def launched(self) -> AsyncIterator[list[LaunchedProcess]]:
        """Launches of the test, killed at its end."""
        processes: list[LaunchedProcess] = []
        yield processes
        for process in processes:
            await process.stop(0)

    def spec(self, run_directory: Path, code: str, **changes: Any) -> LaunchSpec:
        """A launch of Python code."""
        values: dict[str, Any] = {
            "instance_id": "i-1",
            "tenant_id": "t-1",
            "epoch": 1,
            "argv": (self.python, "-I", "-S", "-c", code),
            "environment": {},
            "run_directory": run_directory,
        }
        return LaunchSpec(**values | changes)

    async def _require(self, runner: Runner, capability: str) -> None:
        found = (await runner.probe()).capabilities.get(capability)
        if found is None or not found.available:
            pytest.skip(f"{capability}: {found.reason if found else 'not offered'}")

    async def _launch_from_killed_daemon(
        self,
        runner: Runner,
        run_directory: Path,
        code: str,
        *,
        forget: bool | str,
        delay_seconds: float = 0.0,
        **changes: Any,
    ) -> dict[str, Any]:
        """Launch from another process, kill that with SIGKILL, return the state it had saved.

        `changes` are further fields of the launch, as JSON-able data.
        """
        kind = type(runner)
        argv = [self.python, "-I", "-S", "-c", code]
        arguments = json.dumps([kind.__module__, kind.__qualname__, argv, str(run_directory), forget, changes])
        daemon = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _LAUNCH_AND_HANG,
            arguments,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=dict(os.environ),
        )
        assert daemon.stdout is not None
        line = await asyncio.wait_for(daemon.stdout.readline(), WAIT_SECONDS)
        await asyncio.sleep(delay_seconds)  # the moment of death is what is varied
        os.killpg(daemon.pid, signal.SIGKILL)
        await daemon.wait()
        state: dict[str, Any] = json.loads(line)
        return state
