"""A core daemon in a process of its own, to be measured. Run as a script it is that daemon; imported it starts one."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from runtara_core.daemon import CoreDaemon
from runtara_core.models import CoreLimits
from runtara_core.settings import CoreSettings
from runtara_sdk import InstanceSettings

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_MANY_INSTANCES = 100_000


@dataclass(frozen=True, slots=True)
class CoreProcess:
    """A running daemon: where it listens, whom its clients trust, and what it uses."""

    process_id: int
    address: str
    ca_file: Path

    def settings(self, instance_id: str) -> InstanceSettings:
        """What an instance needs to reach it; without heartbeats, which would blur a measurement."""
        return InstanceSettings(
            instance_id, "benchmark", server_addr=self.address, ca_file=self.ca_file, heartbeat_interval_ms=0
        )

    def memory_bytes(self) -> int:
        """Resident memory now."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process_id}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def processor_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.process_id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def running_core(database_url: str, quic_library: str) -> AsyncIterator[CoreProcess]:
    """A daemon on `database_url` that speaks through `quic_library` as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            database_url,
            directory,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "RUNTARA_QUIC_LIBRARY": quic_library},
        )
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
            if not line:
                raise SystemExit("the core daemon did not start; its reason is above")
            yield CoreProcess(process.pid, line.decode().strip(), Path(directory) / "tls" / "ca.pem")
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _serve(database_url: str, data_dir: Path) -> None:
    from runtara_core.daemon import run_core

    settings = CoreSettings(
        database_url,
        instance_port=0,
        management_port=0,
        data_dir=data_dir,
        limits=CoreLimits(max_concurrent_instances=_MANY_INSTANCES),
    )

    def announce(daemon: CoreDaemon) -> None:
        print(daemon.instance_address, flush=True)

    await run_core(settings, announce)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], Path(sys.argv[2])))
