"""Memory of core and environment daemons: idle, with thousands of known instances, and with some live ones among them.

    python benchmarks/daemon_memory.py                             10 000 known and 100 live on PostgreSQL
    python benchmarks/daemon_memory.py --known 1000 --live 20      fewer, for a quick look
    python benchmarks/daemon_memory.py --sqlite                    on SQLite
    python benchmarks/daemon_memory.py --json                      the same figures as JSON

All are started through the environment, the live ones first. A live one is a process with a `RuntaraSdk`, which has
made a checkpoint and does nothing; as many may run as are live, so the known ones wait for a place. Resident memory and
its peak are what the kernel says of each daemon. Beside them, as the measure: one live program.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import tempfile
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from daemons import Core, running_core
from ending import run_benchmark
from runtara_core.models import InstanceFilter
from runtara_core.testing.postgres import create_database, running_postgres
from runtara_sdk import ManagementSdk
from runtara_sdk.models import InstanceStatus

TENANT = "benchmark"
_STARTED_AT_A_TIME = 16
_DEADLINE_SECONDS = 600.0
_POLL_SECONDS = 0.5
_LIFE_SECONDS = 3600
_PROGRAM = b"""#!/usr/bin/env python3
import asyncio
import os
from runtara_sdk import RuntaraSdk


async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("only", b"%d" % os.getpid())
        await asyncio.sleep(3600)


asyncio.run(main())
"""


@dataclass(frozen=True)
class Row:
    """One state of the daemons; resident memory and peak, MiB."""

    state: str
    core_mib: float
    core_peak_mib: float
    environment_mib: float
    environment_peak_mib: float


def _mib(process_id: int, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process_id}/status").read_text(), re.MULTILINE)
    assert found is not None
    return round(int(found[1]) / 1024, 1)


async def _start(sdk: ManagementSdk, image_id: str, count: int) -> None:
    numbers = iter(range(count))

    async def start_some() -> None:
        for _ in numbers:
            await sdk.start_instance(image_id, TENANT, timeout_seconds=_LIFE_SECONDS)

    await asyncio.gather(*(start_some() for _ in range(_STARTED_AT_A_TIME)))


async def _live_programs(core: Core, count: int) -> list[int]:
    """Process ids of the live programs, once all wait."""
    async with core.management() as management, asyncio.timeout(_DEADLINE_SECONDS):
        while True:
            page = await management.list_instances(
                InstanceFilter(statuses=(InstanceStatus.RUNNING,), limit=1_000, offset=0)
            )
            records = [
                record
                for instance in page.instances
                if (record := await management.get_checkpoint(instance.instance_id, "only")) is not None
            ]
            if len(records) == count:
                return [int(record.state) for record in records]
            await asyncio.sleep(_POLL_SECONDS)


def _kill(process_ids: list[int]) -> None:
    for process_id in process_ids:
        with suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)


async def measure(options: argparse.Namespace) -> tuple[list[Row], float]:
    """The states one after the other, and the memory of one live program."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runtara-benchmark-")))
        if options.sqlite:
            url = f"sqlite:///{directory}/runtara.db"
        else:
            url = await create_database(stack.enter_context(running_postgres()).url)
        core = await stack.enter_async_context(
            running_core(directory / "data", url, max_concurrent_instances=options.live)
        )
        programs: list[int] = []
        stack.callback(_kill, programs)  # once the environment is gone, which would start others
        environment = await stack.enter_async_context(core.environment(RUNTARA_CORE_ADDR=core.local_address))
        image = await environment.sdk.register_image(TENANT, "waiting", _PROGRAM)
        rows: list[Row] = []

        def look(state: str) -> None:
            fields = [
                _mib(process_id, field)
                for process_id in (core.process_id, environment.process_id)
                for field in ("VmRSS", "VmHWM")
            ]
            rows.append(Row(state, *fields))

        look("idle")
        await _start(environment.sdk, image.image_id, options.live)
        programs += await _live_programs(core, options.live)
        look(f"{options.live} live")
        await _start(environment.sdk, image.image_id, options.known)
        look(f"{options.live} live, {options.known} known")
        return rows, _mib(programs[0], "VmRSS")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--known", type=int, default=10_000, help="instances that wait (default 10000)")
    parser.add_argument("--live", type=int, default=100, help="instances that run (default 100)")
    parser.add_argument("--sqlite", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rows, program_mib = asyncio.run(measure(options))
    if options.json:
        loads = {"load_before": before, "load_after": os.getloadavg()[0]}
        print(json.dumps({**loads, "program_mib": program_mib, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print("MiB                             core   peak   environment   peak")
    for row in rows:
        print(
            f"{row.state:<28}{row.core_mib:>8}{row.core_peak_mib:>7}{row.environment_mib:>14}"
            f"{row.environment_peak_mib:>7}"
        )
    print(f"\none live program: {program_mib} MiB")
    print(f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
