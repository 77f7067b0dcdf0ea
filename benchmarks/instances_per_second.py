"""Instances per second, from the first start to the last end, many at once, beside queues of workers.

    python benchmarks/instances_per_second.py                      200 at a time, 8 run at once, 3 rounds in turns
    python benchmarks/instances_per_second.py --instances 500 --limit 32
    python benchmarks/instances_per_second.py --json               the same figures as JSON

What is compared is not alike. An instance of ours is a process of its own, which may be any program, is isolated from
others and survives the daemons. A workflow of DBOS and a job of Procrastinate are function calls in a process that is
there already. So there are two more rows: the same programs started by hand, as many at once, which is what processes
cost without an environment; and the interpreter alone, which is what they cost without us.

    started        `start_instance` of all; each registers, makes a checkpoint, completes. Two daemons
    by hand        the same program as bare processes that register with core themselves
    interpreter    `python -I -c pass`
    DBOS           a queue of workflows of one step, looked at every 10 ms
    Procrastinate  jobs that do nothing; worker and client in one process

All on one PostgreSQL server, each on a database of its own; what runs at once is bounded alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
from daemons import Core, running_core
from ending import run_benchmark
from peer_environment import peer_python
from runtara_core.testing.postgres import create_database, running_postgres
from runtara_sdk import ManagementSdk

TENANT = "benchmark"
_STARTED_AT_A_TIME = 16
_DEADLINE_SECONDS = 600.0
_POLL_SECONDS = 0.02
_PEERS = {
    "DBOS": ("dbos_queue.py", "dbos", ("dbos",)),
    "Procrastinate": ("procrastinate_worker.py", "procrastinate", ("procrastinate", "psycopg[binary,pool]")),
}
_PROGRAM = b"""#!/usr/bin/env python3
import asyncio
from runtara_sdk import RuntaraSdk


async def main():
    async with RuntaraSdk.from_env() as sdk:
        await sdk.checkpoint("only", b"done")
        await sdk.completed("done")


asyncio.run(main())
"""

Run = Callable[[int], Awaitable[float]]


@dataclass(frozen=True)
class Row:
    """One way: instances a second in the median round, in the best; ours as started over it."""

    way: str
    per_second: float
    best_per_second: float
    started_ratio: float


class Ours:
    """Instances of one program on a pair of daemons; each way answers seconds for `count` of them."""

    def __init__(self, core: Core, sdk: ManagementSdk, image_id: str, limit: int) -> None:
        self._core = core
        self._sdk = sdk
        self._image_id = image_id
        self._limit = limit
        self._program = core.directory.parent / "program.py"
        self._program.write_bytes(_PROGRAM)

    async def started(self, count: int) -> float:
        connection = await asyncpg.connect(self._core.database_url)
        query = "SELECT COUNT(*) FROM instances WHERE finished_at_ms IS NOT NULL AND image_id IS NOT NULL"
        before = await connection.fetchval(query)
        numbers = iter(range(count))

        async def start_some() -> None:
            for _ in numbers:
                await self._sdk.start_instance(self._image_id, TENANT)

        begun = time.monotonic()
        await asyncio.gather(*(start_some() for _ in range(_STARTED_AT_A_TIME)))
        async with asyncio.timeout(_DEADLINE_SECONDS):
            while await connection.fetchval(query) < before + count:  # noqa: ASYNC110 - of other processes
                await asyncio.sleep(_POLL_SECONDS)
        seconds = time.monotonic() - begun
        failed = await connection.fetchval("SELECT COUNT(*) FROM instances WHERE status = 'failed'")
        await connection.close()
        if failed:
            raise SystemExit(f"{failed} instances failed")
        return seconds

    async def by_hand(self, count: int) -> float:
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._core.directory.parent),
            "RUNTARA_TENANT_ID": TENANT,
            "RUNTARA_SERVER_ADDR": self._core.local_address,
        }
        return await self._processes(count, [sys.executable, str(self._program)], variables)

    async def interpreter(self, count: int) -> float:
        return await self._processes(count, [sys.executable, "-I", "-c", "pass"], {})

    async def _processes(self, count: int, argv: list[str], variables: dict[str, str]) -> float:
        numbers = iter(range(count))

        async def run_some() -> None:
            for _ in numbers:
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    env={**variables, "RUNTARA_INSTANCE_ID": f"by-hand-{uuid.uuid4()}"},
                )
                if await process.wait():
                    raise SystemExit(f"a program failed with exit code {process.returncode}; its reason is above")

        begun = time.monotonic()
        await asyncio.gather(*(run_some() for _ in range(self._limit)))
        return time.monotonic() - begun


@asynccontextmanager
async def _peer(name: str, database_url: str, limit: int) -> AsyncIterator[Run | None]:
    """A peer in a process and a virtual environment of its own; None, and a message, when it cannot be had."""
    program, environment, packages = _PEERS[name]
    python = await asyncio.to_thread(peer_python, environment, *packages)
    if python is None:
        yield None
        return
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(Path(__file__).with_name(program)),
        database_url.replace("postgres://", "postgresql://", 1),
        str(limit),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    requests, answers = process.stdin, process.stdout
    assert requests is not None
    assert answers is not None

    async def run(count: int) -> float:
        requests.write(f"{count}\n".encode())
        return float(await asyncio.wait_for(answers.readline(), _DEADLINE_SECONDS))

    try:
        if (await asyncio.wait_for(answers.readline(), _DEADLINE_SECONDS)).strip() == b"ready":
            yield run
        else:
            print(f"{name} left out: it did not start", file=sys.stderr)
            yield None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(options: argparse.Namespace) -> list[Row]:
    """Every way in turns; the first round fills caches and counts little: the median does not see it."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="runtara-benchmark-")))
        server = stack.enter_context(running_postgres())
        url = await create_database(server.url)
        core = await stack.enter_async_context(
            running_core(directory / "data", url, max_concurrent_instances=options.limit)
        )
        environment = await stack.enter_async_context(core.environment(RUNTARA_CORE_ADDR=core.local_address))
        image = await environment.sdk.register_image(TENANT, "short", _PROGRAM)
        ours = Ours(core, environment.sdk, image.image_id, options.limit)
        ways: dict[str, Run] = {"started": ours.started, "by hand": ours.by_hand, "interpreter": ours.interpreter}
        for name in _PEERS:
            run = await stack.enter_async_context(_peer(name, await create_database(server.url), options.limit))
            if run is not None:
                ways[name] = run
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(options.rounds):
            for way, run in ways.items():
                print(f"round {number + 1} of {options.rounds}: {way}", file=sys.stderr)
                rates[way].append(options.instances / await run(options.instances))
    started = statistics.median(rates["started"])
    return [
        Row(way, round(statistics.median(each), 1), round(max(each), 1), round(started / statistics.median(each), 3))
        for way, each in rates.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=200, help="of each way in a round (default 200)")
    parser.add_argument("--limit", type=int, default=8, help="how many run at once (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="in turns (default 3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    rows = asyncio.run(measure(options))
    if options.json:
        loads = {"load_before": before, "load_after": os.getloadavg()[0]}
        print(json.dumps({**loads, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print(f"{options.instances} at once, {options.limit} run at a time\n")
    print("               per second      best   started / it")
    for row in rows:
        print(f"{row.way:<15}{row.per_second:>10}{row.best_per_second:>10}{row.started_ratio:>15}")
    print(f"\nload average {before:.1f} before, {os.getloadavg()[0]:.1f} after; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
