"""What a core daemon uses with many idle instances connected, and with none, for each transport.

    python benchmarks/connected_instances.py                          1000 instances on SQLite
    python benchmarks/connected_instances.py --instances 200          fewer, for a quick look
    python benchmarks/connected_instances.py --database postgres://   another database, which must be empty
    python benchmarks/connected_instances.py --json                   the same figures as JSON

Each instance is a whole `RuntaraSdk` with a connection of its own: it has registered, made one checkpoint, and waits.
Its polls for signals and its heartbeats go on, all in the process of the benchmark, which has to share the processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace

from core_process import LOCAL, TRANSPORTS, CoreProcess, running_core
from ending import run_benchmark
from runtara_sdk import RuntaraSdk

_AT_A_TIME = 20
_HEARTBEAT_MS = 30_000


@dataclass(frozen=True)
class Idle:
    """One daemon over a while: resident memory, MiB; processor time, percent of one; transactions a second."""

    memory_mib: float
    processor_percent: float
    transactions_per_second: float


@dataclass(frozen=True)
class Row:
    """One daemon without instances and with them; processor seconds of connecting them."""

    transport: str
    instances: int
    alone: Idle
    connected: Idle
    per_instance_kib: float
    connecting_seconds: float


async def _watch(core: CoreProcess, seconds: float) -> Idle:
    used, begun, at = core.processor_seconds(), await core.transactions(), asyncio.get_running_loop().time()
    await asyncio.sleep(seconds)
    passed = asyncio.get_running_loop().time() - at
    return Idle(
        round(core.memory_bytes() / 2**20, 1),
        round(100 * (core.processor_seconds() - used) / passed, 2),
        round((await core.transactions() - begun) / passed, 2),
    )


async def _connect(core: CoreProcess, count: int, block: AsyncExitStack) -> list[RuntaraSdk]:
    waiting = iter(range(count))
    connected: list[RuntaraSdk] = []

    async def connect_some() -> None:
        for number in waiting:
            settings = replace(core.settings(f"instance-{number}"), heartbeat_interval_ms=_HEARTBEAT_MS)
            sdk = RuntaraSdk(settings)
            block.push_async_callback(sdk.close)
            await sdk.connect()
            await sdk.register()
            await sdk.checkpoint("first", b"x" * 230)
            connected.append(sdk)

    await asyncio.gather(*(connect_some() for _ in range(_AT_A_TIME)))
    return connected


async def measure(transport: str, instances: int, seconds: float, database_url: str | None) -> Row:
    """One daemon with its instances, each state for `seconds`."""
    os.environ["RUNTARA_QUIC_LIBRARY"] = "auto" if transport == LOCAL else transport
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as directory:
        url = database_url or f"sqlite:///{directory}/core.db"
        async with running_core(url, transport) as core, AsyncExitStack() as block:
            alone = await _watch(core, seconds)
            used = core.processor_seconds()
            await _connect(core, instances, block)
            connecting_seconds = round(core.processor_seconds() - used, 2)
            # Longer than one poll is held, so that what is measured is the steady state.
            await asyncio.sleep(min(seconds, 35))
            connected = await _watch(core, seconds)
            each = (connected.memory_mib - alone.memory_mib) * 1024 / instances
            return Row(transport, instances, alone, connected, round(each, 1), connecting_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1_000, help="connected at a time (default 1000)")
    parser.add_argument("--seconds", type=float, default=60, help="time of each measurement (default 60)")
    parser.add_argument("--transport", choices=TRANSPORTS, action="append", help="only this transport")
    parser.add_argument("--database", help="URL of the database (default: SQLite in a new directory)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [
        asyncio.run(measure(transport, options.instances, options.seconds, options.database))
        for transport in options.transport or TRANSPORTS
    ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        for count, idle in ((0, row.alone), (row.instances, row.connected)):
            print(
                f"{row.transport:>8}, {count:>5} instances: {idle.memory_mib} MiB, {idle.processor_percent} % of a "
                f"processor, {idle.transactions_per_second} transactions/s"
            )
        print(f"{'':>8}  {row.per_instance_kib} KiB each; connecting took {row.connecting_seconds} s of processor time")
    print(f"load average {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
