"""Memory of a core daemon with many connected instances, for each QUIC library.

    python benchmarks/connected_instances.py                     1000 instances
    python benchmarks/connected_instances.py --instances 200     fewer, for a quick look
    python benchmarks/connected_instances.py --json              the same figures as JSON

Each instance has a connection of its own, has registered, made one checkpoint and is silent since. The programs' own
polls for signals are left out: a thousand programs in one process would measure that process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from dataclasses import asdict, dataclass

from core_process import CoreProcess, running_core
from runtara_sdk.quic_backend import QuicBackend

LIBRARIES = ("qh3", "aioquic")
_AT_A_TIME = 20


@dataclass(frozen=True)
class Row:
    """Resident memory of one daemon, MiB and KiB, and processor seconds of all its handshakes."""

    library: str
    instances: int
    idle_mib: float
    connected_mib: float
    per_connection_kib: float
    processor_seconds: float


async def _connect(core: CoreProcess, count: int) -> list[QuicBackend]:
    waiting = iter(range(count))
    connected: list[QuicBackend] = []

    async def connect_some() -> None:
        for number in waiting:
            backend = QuicBackend(core.settings(f"instance-{number}"))
            await backend.connect()
            connected.append(backend)
            await backend.register(None)
            await backend.checkpoint("first", b"x" * 230)

    await asyncio.gather(*(connect_some() for _ in range(_AT_A_TIME)))
    return connected


async def measure(library: str, instances: int) -> Row:
    """One daemon with its instances."""
    os.environ["RUNTARA_QUIC_LIBRARY"] = library
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as directory:
        async with running_core(f"sqlite:///{directory}/core.db", library) as core:
            idle, used = core.memory_bytes(), core.processor_seconds()
            backends = await _connect(core, instances)
            connected = core.memory_bytes()
            row = Row(
                library,
                instances,
                round(idle / 2**20, 1),
                round(connected / 2**20, 1),
                round((connected - idle) / instances / 1024, 1),
                round(core.processor_seconds() - used, 2),
            )
            await asyncio.gather(*(backend.close() for backend in backends))
            return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000, help="connected at a time (default 1000)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [asyncio.run(measure(library, options.instances)) for library in LIBRARIES]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(
            f"{row.library:>8}: {row.idle_mib} MiB idle, {row.connected_mib} MiB with {row.instances} instances: "
            f"{row.per_connection_kib} KiB each; {row.processor_seconds} s of processor time to connect them"
        )
    print(f"load average {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
