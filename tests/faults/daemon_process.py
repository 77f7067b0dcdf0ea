"""A core daemon in a process of its own: to be measured, attacked and killed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from runtara_core.management_client import ManagementClient
from runtara_sdk.transport import QuicClient

_START_SECONDS = 60.0


class DaemonProcess:
    """`runtara core` on SQLite in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self.instance_port = 0
        self.management_port = 0

    @property
    def process_id(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ca_file(self) -> Path:
        return self._directory / "data" / "tls" / "ca.pem"

    @property
    def log(self) -> str:
        return (self._directory / "core.log").read_text(errors="replace")

    async def start(self, **variables: str) -> None:
        """Start it and wait until it listens."""
        with (self._directory / "core.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("core_daemon.py")),
                f"sqlite:///{self._directory}/core.db",
                str(self._directory / "data"),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **variables},
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        assert line, self.log
        self.instance_port, self.management_port = map(int, line.split())

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def memory_bytes(self) -> int:
        """Resident memory now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024

    async def load(self) -> dict[str, tuple[int, int, int]]:
        """Connections, open streams and buffered bytes of its ports, as it says itself."""
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(10)  # SIGUSR1
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        numbers = [int(number) for number in line.split()]
        return {"instance": tuple(numbers[:3]), "management": tuple(numbers[3:])}  # type: ignore[dict-item]

    def client(self, port: int) -> QuicClient:
        return QuicClient(f"127.0.0.1:{port}", ca_file=self.ca_file)

    def management(self) -> ManagementClient:
        return ManagementClient(self.client(self.management_port))
