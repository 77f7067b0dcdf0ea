"""Core and environment in a process of their own: to be measured, attacked and killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from runtara_core.management_client import ManagementClient
from runtara_sdk.transport.quic import QuicClient

_DEADLINE_SECONDS = 60.0
PORTS = ("instance", "management", "environment")


@dataclass(frozen=True, slots=True)
class Load:
    """What one port holds, as it says itself."""

    connections: int
    streams: int
    buffered_bytes: int


class DaemonProcess:
    """Both daemons on SQLite in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self.ports: dict[str, int] = {}

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ca_file(self) -> Path:
        return self._directory / "data" / "tls" / "ca.pem"

    @property
    def log(self) -> str:
        return (self._directory / "daemons.log").read_text(errors="replace")

    async def start(self, **variables: str) -> None:
        """Start it and wait until it listens."""
        with (self._directory / "daemons.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("daemons.py")),
                f"sqlite:///{self._directory}/core.db",
                str(self._directory / "data"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **variables},
            )
        self.ports = dict(zip(PORTS, await self._numbers(), strict=True))

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def memory_bytes(self) -> int:
        """Resident memory now."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process_id}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    async def load(self) -> dict[str, Load]:
        """What each port holds."""
        os.kill(self.process_id, signal.SIGUSR1)
        numbers = await self._numbers()
        return {name: Load(*numbers[3 * index : 3 * index + 3]) for index, name in enumerate(PORTS)}

    def client(self, port: str, *, library: str | None = None) -> QuicClient:
        return QuicClient(f"127.0.0.1:{self.ports[port]}", ca_file=self.ca_file, library=library)

    def management(self) -> ManagementClient:
        return ManagementClient(self.client("management"))

    async def _numbers(self) -> list[int]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _DEADLINE_SECONDS)
        assert line, self.log
        return [int(number) for number in line.split()]
