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
from runtara_sdk.transport import TransportClient, open_client
from runtara_sdk.transport.quic import QuicClient

_DEADLINE_SECONDS = 60.0
PORTS = ("instance", "management", "environment")
"""What is served, on a UDP port and on a local socket each."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one server holds, as it says itself."""

    connections: int
    streams: int
    buffered_bytes: int


class DaemonProcess:
    """Both daemons on SQLite in `directory`, spoken to over QUIC or over local sockets."""

    def __init__(self, directory: Path, *, is_local: bool = False) -> None:
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None
        self.is_local = is_local
        self.addresses: dict[str, str] = {}
        self.local_addresses: dict[str, str] = {}
        self.memory_at_start = 0

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
        words = await self._words()
        self.addresses = dict(zip(PORTS, self._of_the_transport(words), strict=True))
        self.local_addresses = dict(zip(PORTS, words[len(PORTS) :], strict=True))
        self.memory_at_start = self.memory_bytes()

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
        """What each server of the transport holds."""
        os.kill(self.process_id, signal.SIGUSR1)
        numbers = [int(word) for word in self._of_the_transport(await self._words())]
        return {name: Load(*numbers[3 * index : 3 * index + 3]) for index, name in enumerate(PORTS)}

    def client(self, port: str, *, library: str | None = None) -> TransportClient:
        """A client of a server; the library is that of QUIC."""
        address = self.addresses[port]
        if library is None or self.is_local:
            return open_client(address, ca_file=self.ca_file)
        return QuicClient(address, ca_file=self.ca_file, library=library)

    def management(self) -> ManagementClient:
        return ManagementClient(self.client("management"))

    def _of_the_transport(self, words: list[str]) -> list[str]:
        half = len(words) // 2
        return words[half:] if self.is_local else words[:half]

    async def _words(self) -> list[str]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _DEADLINE_SECONDS)
        assert line, self.log
        return line.decode().split()
