"""A core daemon in a process of its own, to be measured. Run as a script it is that daemon; imported it starts one."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_core.daemon import CoreDaemon
from runtara_core.database import Database
from runtara_core.models import CoreLimits
from runtara_core.settings import CoreSettings
from runtara_sdk import InstanceSettings

LOCAL = "local"
TRANSPORTS = (LOCAL, "qh3", "aioquic")
"""The local transport, and the QUIC one with either library."""

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_MANY_INSTANCES = 100_000


@dataclass(frozen=True, slots=True)
class CoreProcess:
    """A running daemon: where it listens, whom its clients trust, and what it uses."""

    process_id: int
    address: str
    ca_file: Path
    output: asyncio.StreamReader

    def settings(self, instance_id: str) -> InstanceSettings:
        """What an instance needs to reach it; without heartbeats, which would blur a measurement."""
        return InstanceSettings(
            instance_id, "benchmark", server_addr=self.address, ca_file=self.ca_file, heartbeat_interval_ms=0
        )

    async def transactions(self) -> int:
        """Transactions of the database begun so far."""
        os.kill(self.process_id, signal.SIGUSR1)
        return int(await asyncio.wait_for(self.output.readline(), _START_SECONDS))

    def memory_bytes(self) -> int:
        """Resident memory now."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process_id}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def processor_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_transport(transport: str) -> dict[str, str]:
    """The variables of a process that uses the QUIC library `transport`, or none."""
    return dict(os.environ) if transport == LOCAL else {**os.environ, "RUNTARA_QUIC_LIBRARY": transport}


@asynccontextmanager
async def running_core(database_url: str, transport: str) -> AsyncIterator[CoreProcess]:
    """A daemon on `database_url` as long as the block lasts: on a local socket, or speaking through a QUIC library.

    `transport` is one of `TRANSPORTS`.
    """
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            database_url,
            directory,
            transport,
            stdout=asyncio.subprocess.PIPE,
            env=with_transport(transport),
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            if not line:
                raise SystemExit("the core daemon did not start; its reason is above")
            yield CoreProcess(process.pid, line.decode().strip(), Path(directory) / "tls" / "ca.pem", process.stdout)
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


def _count_transactions(database_type: type[Database]) -> Callable[[], int]:
    """Count what is begun from now on; the result tells how much it is."""
    run: Any = database_type.run
    begun = 0

    def counted(database: Database, *arguments: Any, **options: Any) -> Any:
        nonlocal begun
        begun += 1
        return run(database, *arguments, **options)

    database_type.run = counted  # type: ignore[method-assign]  # replaced for as long as it is measured
    return lambda: begun


async def _serve(database_url: str, data_dir: Path, transport: str) -> None:
    from runtara_core.daemon import run_core
    from runtara_core.database.postgres import PostgresDatabase
    from runtara_core.database.sqlite import SqliteDatabase

    settings = CoreSettings(
        database_url,
        instance_port=0,
        management_port=0,
        bind_address=None if transport == LOCAL else "127.0.0.1",
        data_dir=data_dir,
        limits=CoreLimits(max_concurrent_instances=_MANY_INSTANCES),
    )

    begun = _count_transactions(PostgresDatabase if "postgres" in database_url else SqliteDatabase)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: print(begun(), flush=True))

    def announce(daemon: CoreDaemon) -> None:
        print(daemon.instance_address, flush=True)

    await run_core(settings, announce)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
