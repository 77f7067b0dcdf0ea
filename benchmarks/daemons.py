"""Core and environment as an operator runs them: commands in processes of their own, on ports the system chooses."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtara_core.management_client import ManagementClient
from runtara_sdk import ManagementSdk
from runtara_sdk.management import ManagementSettings
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path
from runtara_sdk.transport.quic import QuicClient

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_CORE_LINE = re.compile(r"core serves instances on (\S+) and environments on port (\d+)")
_ENVIRONMENT_LINE = re.compile(r"environment serves on (\S+)")


@dataclass(frozen=True, slots=True)
class Environment:
    """A running environment: a client of it, and its process."""

    sdk: ManagementSdk
    process_id: int


@dataclass(frozen=True, slots=True)
class Core:
    """A running core.

    Attributes:
        directory: data directory of core and its environment; their logs lie beside it.
        database_url: of both.
        address: where instances reach it.
        management_port: where environments do.
        process_id: of the daemon.
    """

    directory: Path
    database_url: str
    address: str
    management_port: int
    process_id: int

    @property
    def ca_file(self) -> Path:
        """Whom clients trust."""
        return self.directory / "tls" / "ca.pem"

    @asynccontextmanager
    async def management(self) -> AsyncIterator[ManagementClient]:
        """A connection such as an environment has."""
        client = ManagementClient(
            QuicClient(f"127.0.0.1:{self.management_port}", server_name="localhost", ca_file=self.ca_file)
        )
        try:
            yield client
        finally:
            await client.close()

    @property
    def local_address(self) -> str:
        """Where instances reach it by its socket."""
        return format_local_address(socket_path(self.directory, CORE_SOCKET))

    @asynccontextmanager
    async def environment(self, directory: Path | None = None, **further: str) -> AsyncIterator[Environment]:
        """An environment on this core as long as the block lasts, with `further` variables.

        It is in a data directory of its own when one is given. At the end it leaves its programs running.
        """
        variables = {
            "RUNTARA_DATABASE_URL": self.database_url,
            "RUNTARA_CORE_ADDR": self.address,
            "RUNTARA_CORE_ADMIN_ADDR": f"127.0.0.1:{self.management_port}",
            "RUNTARA_ENV_QUIC_PORT": "0",
            "RUNTARA_CA_FILE": str(self.ca_file),
            "RUNTARA_ON_SHUTDOWN": "leave",
            **further,
        }
        data_dir = directory or self.directory
        if directory is not None:
            directory.mkdir()
            (directory / "tls").symlink_to(self.directory / "tls")
        async with (
            _daemon("runtara-environment", data_dir, variables, _ENVIRONMENT_LINE) as (said, process_id),
            ManagementSdk(ManagementSettings(server_addr=said[1], ca_file=self.ca_file)) as sdk,
        ):
            yield Environment(sdk, process_id)


def processor_seconds(process_id: int) -> tuple[float, float]:
    """Processor time that a process has used so far, and that its children used which have ended."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    ticks = os.sysconf("SC_CLK_TCK")
    return own / ticks, children / ticks


@asynccontextmanager
async def running_core(
    directory: Path, database_url: str, *, max_concurrent_instances: int = 32
) -> AsyncIterator[Core]:
    """A core as long as the block lasts. Its log is shown when it does not start."""
    variables = {
        "RUNTARA_DATABASE_URL": database_url,
        "RUNTARA_QUIC_PORT": "0",
        "RUNTARA_ADMIN_PORT": "0",
        "RUNTARA_MAX_CONCURRENT_INSTANCES": str(max_concurrent_instances),
    }
    async with _daemon("runtara-core", directory, variables, _CORE_LINE) as (said, process_id):
        yield Core(directory, database_url, said[1], int(said[2]), process_id)


@asynccontextmanager
async def _daemon(
    name: str, directory: Path, variables: Mapping[str, str], ready: re.Pattern[str]
) -> AsyncIterator[tuple[re.Match[str], int]]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RUNTARA_")}
    log = directory.with_name(f"{name}.log")
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name(name)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=directory.parent,
            env={**kept, **variables, "DATA_DIR": str(directory), "RUNTARA_LOG": "warning", "PYTHONUNBUFFERED": "1"},
        )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)).decode()
        said = ready.search(line)
        if said is None:
            raise SystemExit(f"{name} did not start: {line}{log.read_text()}")
        yield said, process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
