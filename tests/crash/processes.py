"""Processes that tests start, watch and kill: daemons, and what a launch has left in its files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port
from runtara_environment.runners.process_identity import ProcessHandle, ProcessIdentity

DEADLINE_SECONDS = 120.0
_POLL_SECONDS = 0.01


def daemon_variables(directory: Path, database_url: str) -> dict[str, str]:
    """The environment of core and environment on one database, with data below `directory` and ports of their own."""
    core, management, environment = free_ports(3)
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "USE_SYSTEMD_CGROUP") if name in os.environ},
        "HOME": str(directory),
        "DATA_DIR": str(directory / "data"),
        "RUNTARA_DATABASE_URL": database_url,
        "RUNTARA_QUIC_PORT": str(core),
        "RUNTARA_ADMIN_PORT": str(management),
        "RUNTARA_ENV_QUIC_PORT": str(environment),
        "RUNTARA_CORE_ADDR": f"127.0.0.1:{core}",
    }


async def eventually(
    condition: Callable[[], Awaitable[Any]],
    what: str,
    *,
    details: Callable[[], str] = str,
    seconds: float = DEADLINE_SECONDS,
) -> Any:
    """The first true value of `condition`; fails after `seconds` and shows the `details` of then."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}\n{details()}")
        await asyncio.sleep(_POLL_SECONDS)
    return value


class Daemon:
    """A daemon in a process of its own."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str]) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """What it has written so far."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    async def wait_until_serving(self) -> None:
        async def serves() -> bool:
            # Asked first: a doomed daemon may have served and died before anybody looked.
            ended = self._process.poll() is not None
            said = self.said()
            if ended and "serves" not in said:
                pytest.fail(f"the daemon ended with {self._process.returncode}:\n{said}")
            return "serves" in said

        await eventually(serves, "a daemon that serves")

    async def wait_until_dead(self) -> None:
        async def ended() -> bool:
            return self._process.poll() is not None

        await eventually(ended, "the death of a daemon", details=self.said)
        assert self._process.returncode == -signal.SIGKILL, self.said()

    def send(self, number: signal.Signals) -> None:
        """A signal to the daemon alone."""
        self._process.send_signal(number)

    async def exit_code(self) -> int:
        """The code with which it ends, once it does."""

        async def ended() -> bool:
            return self._process.poll() is not None

        await eventually(ended, "the end of a daemon", details=self.said)
        code = self._process.returncode
        assert code is not None
        return int(code)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._process.kill()
        self._process.wait(10)


@dataclass
class Guest:
    """The two processes of a launch."""

    shim: ProcessIdentity
    program: ProcessIdentity | None
    epoch: int

    def kill_program(self) -> bool:
        """SIGKILL to the program; False when it is gone already."""
        return self.program is not None and _send(self.program, signal.SIGKILL)

    def kill_shim(self) -> bool:
        """SIGKILL to the shim; the kernel takes the program with it."""
        return _send(self.shim, signal.SIGKILL)

    def inside(self) -> list[ProcessIdentity]:
        """The runtime of a container and what descends from it, the program last."""
        found = [] if self.program is None else [self.program]
        for each in found:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{each.pid}/task").iterdir():
                    pids = map(int, (task / "children").read_text().split())
                    found += [child for pid in pids if (child := ProcessIdentity.of_pid(pid)) is not None]
        return found

    def kill_one(self, place: int) -> bool:
        """SIGKILL to one process `inside`; whichever it is, nothing of the container stays."""
        found = self.inside()
        return bool(found) and _send(found[place % len(found)], signal.SIGKILL)

    def send(self, number: signal.Signals) -> bool:
        """A signal to the program."""
        return self.program is not None and _send(self.program, number)


def _send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    handle = ProcessHandle.open(identity)
    if handle is None or not identity.is_alive:
        return False
    handle.send(number)
    handle.close()
    return True


def guest_of(launch: Path) -> Guest | None:
    """The processes of the launch with these files; None when it has not come so far."""
    with contextlib.suppress(OSError, ValueError):
        claim = json.loads((launch / "shim.json").read_text())
        if "pid" in claim:
            shim = ProcessIdentity(claim["pid"], claim["start_time"], claim["boot_id"])
            program = None
            if "child_pid" in claim:
                program = ProcessIdentity(claim["child_pid"], claim["child_start_time"], claim["boot_id"])
            return Guest(shim, program, launch_epoch(launch))
    return None


def launch_epoch(launch: Path) -> int:
    """Of a launch directory."""
    return int(launch.name.rpartition("-")[2])


def free_ports(count: int) -> list[int]:
    """UDP ports that nobody has now, nor is given while their daemon is away."""
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(choose_port(socket.SOCK_DGRAM))
    return list(ports)
