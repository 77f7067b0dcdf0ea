"""Whether a million suspended instances slow down what runs all the time.

    python benchmarks/suspended_rows.py                    a million rows beside a thousand, both databases
    python benchmarks/suspended_rows.py --rows 100000      fewer, for a quick look
    python benchmarks/suspended_rows.py --explain          also the query plans with all the rows
    python benchmarks/suspended_rows.py --json             the same figures as JSON

Each query runs on the small and on the large database in turns; the ratio of their median times is what counts. The
total that a list carries counts what matches, so it is measured apart from the page.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from ending import run_benchmark
from runtara_core.database import Dialect
from runtara_core.models import CoreLimits
from runtara_core.storages import open_storage
from runtara_core.storages.sql import CORE_QUERIES, SqlStorage
from runtara_core.testing.postgres import create_database, running_postgres

FEW_ROWS = 1_000
DUE_ROWS = 500
TENANTS = 10
START_MS = 1_700_000_000_000
LATER_MS = START_MS + 10**9
_LIMITS = CoreLimits(max_concurrent_instances=1_000_000)
_FILTER = dict.fromkeys(
    ("statuses", "image_ids", "created_after_ms", "created_before_ms", "finished_after_ms", "finished_before_ms")
)
_FAILED = {**_FILTER, "statuses": '["failed"]'}

_NUMBERS = {
    Dialect.POSTGRES: "FROM generate_series(1, {rows}) AS numbers (n)",
    Dialect.SQLITE: "FROM (WITH RECURSIVE numbers (n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {rows}) SELECT n FROM numbers) AS numbers",
}
_INSTANCES = (
    "INSERT INTO instances "
    "(instance_id, tenant_id, image_id, status, termination_reason, epoch, created_at_ms, wake_at_ms) "
    "SELECT 'instance-' || n, 'tenant-' || (n % {tenants}), 'image', 'suspended', 'sleeping', 1, {start} + n, "
    "CASE WHEN n <= {due} THEN {start} + n ELSE {later} + n END {numbers}"
)
_INPUTS = "INSERT INTO instance_inputs (instance_id, input, launch_options) SELECT instance_id, '', '{}' FROM instances"

Call = Callable[[SqlStorage, int], Awaitable[Any]]


@dataclass(frozen=True)
class Row:
    """One query on one database: median milliseconds with few and with many rows."""

    database: str
    query: str
    few_rows_ms: float
    many_rows_ms: float
    ratio: float


def _query(name: str, **parameters: Any) -> Call:
    async def call(storage: SqlStorage, _rows: int) -> Any:
        return await storage.database.run(
            lambda transaction: transaction.fetch_all(name, **parameters), operation=name, read_only=True
        )

    return call


async def _status(storage: SqlStorage, rows: int) -> Any:
    return await storage.get_instance(f"instance-{random.randint(1, rows)}")


async def _claim(storage: SqlStorage, _rows: int) -> Any:
    claims = await storage.claim_launches(
        "owner", instance_id=None, limit=1, lease_ms=60_000, limits=_LIMITS, now_ms=START_MS + DUE_ROWS
    )
    assert claims, "nothing was due"
    return claims


async def _next_wake(storage: SqlStorage, _rows: int) -> Any:
    return await storage.next_wake_at_ms()


CALLS: dict[str, Call] = {
    "status of one": _status,
    "page of all": _query("list_instances_created_at_desc", **_FILTER, limit=50, offset=0),
    "page of a tenant": _query(
        "list_tenant_instances_created_at_desc", tenant_id="tenant-3", **_FILTER, limit=50, offset=0
    ),
    "claim one due wake": _claim,
    "next wake": _next_wake,
    "nothing is due": _query("lock_due_wakes", now_ms=0, limit=50),
    "page of a status": _query(
        "list_tenant_instances_created_at_desc", tenant_id="tenant-3", **_FAILED, limit=50, offset=0
    ),
    "last finished": _query(
        "list_tenant_instances_finished_at_desc", tenant_id="tenant-3", **_FILTER, limit=50, offset=0
    ),
    "total of a tenant": _query("count_all_tenant_instances", tenant_id="tenant-3"),
    "total of a status": _query("count_tenant_instances", tenant_id="tenant-3", **_FAILED),
    "total of all": _query("count_all_instances"),
    "total of all in a status": _query("count_instances", **_FAILED),
}
WRITING = {"nothing is due"}
"""They lock what they read, which a read-only transaction refuses."""

EXPLAINED: dict[str, dict[str, Any]] = {
    "get_instance": {"instance_id": "instance-7", "max_input_bytes": 12 * 1024 * 1024},
    "list_instances_created_at_desc": {**_FILTER, "limit": 50, "offset": 0},
    "list_tenant_instances_created_at_desc": {"tenant_id": "tenant-3", **_FILTER, "limit": 50, "offset": 0},
    "lock_due_wakes": {"now_ms": START_MS, "limit": 50},
    "lock_expired_leases": {"now_ms": START_MS, "limit": 50},
    "next_wake": {},
    "count_running": {},
    "list_tenant_instances_finished_at_desc": {"tenant_id": "tenant-3", **_FILTER, "limit": 50, "offset": 0},
    "count_all_tenant_instances": {"tenant_id": "tenant-3"},
    "count_tenant_instances": {"tenant_id": "tenant-3", **_FAILED},
    "count_instances": _FAILED,
}


async def filled_storage(url: str, rows: int) -> SqlStorage:
    """A storage with so many suspended instances, the first `DUE_ROWS` of them due."""
    storage = await open_storage(url)
    assert isinstance(storage, SqlStorage)
    await storage.open()
    numbers = _NUMBERS[storage.database.dialect].format(rows=rows)
    insert = _INSTANCES.format(tenants=TENANTS, start=START_MS, later=LATER_MS, due=DUE_ROWS, numbers=numbers)

    # Not through the storage, whose statements have a deadline.
    if storage.database.dialect is Dialect.POSTGRES:
        connection = await asyncpg.connect(url)
        await connection.execute(insert)
        await connection.execute(_INPUTS)
        await connection.execute("VACUUM ANALYZE")
        await connection.close()
    else:
        await asyncio.to_thread(_fill_sqlite, url.removeprefix("sqlite:///"), insert)
    return storage


def _fill_sqlite(path: str, insert: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(insert)
        connection.execute(_INPUTS)
        connection.commit()


async def explain(storage: SqlStorage, url: str) -> dict[str, str]:
    """The plan of each query."""
    plans = {}
    dialect = storage.database.dialect
    queries = CORE_QUERIES.for_dialect(dialect)
    if dialect is Dialect.POSTGRES:
        connection = await asyncpg.connect(url)
        for name, parameters in EXPLAINED.items():
            query = queries[name]
            arguments = [parameters[each] for each in query.parameters]
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) {query.text}", *arguments)
            plans[name] = "\n".join(row[0] for row in rows)
        await connection.close()
    else:
        sqlite = sqlite3.connect(url.removeprefix("sqlite:///"))
        for name, parameters in EXPLAINED.items():
            plan = sqlite.execute(f"EXPLAIN QUERY PLAN {queries[name].text}", parameters)
            plans[name] = "\n".join(str(row[3]) for row in plan)
        sqlite.close()
    return plans


async def _measure(name: str, few: SqlStorage, many: SqlStorage, rows: int, options: argparse.Namespace) -> list[Row]:
    times: dict[tuple[str, bool], list[float]] = {}
    for turn, (query, call) in itertools.product(range(options.calls), CALLS.items()):
        for storage, count, large in ((few, FEW_ROWS, False), (many, rows, True)):
            started = time.perf_counter()
            if query in WRITING:
                await storage.database.run(
                    lambda transaction: transaction.fetch_all("lock_due_wakes", now_ms=0, limit=50), operation=query
                )
            else:
                await call(storage, count)
            if turn:  # the first one prepares statements and fills caches
                times.setdefault((query, large), []).append((time.perf_counter() - started) * 1000)
    result = []
    for query in CALLS:
        small, large_ms = (statistics.median(times[query, large]) for large in (False, True))
        result.append(Row(name, query, round(small, 3), round(large_ms, 3), round(large_ms / small, 2)))
    return result


async def measure_all(options: argparse.Namespace) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """Both databases."""
    result: list[Row] = []
    plans: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="runtara-benchmark-") as directory, running_postgres() as server:
        for name in ("postgres", "sqlite"):
            urls = [
                await create_database(server.url) if name == "postgres" else f"sqlite:///{Path(directory)}/{rows}.db"
                for rows in (FEW_ROWS, options.rows)
            ]
            few = await filled_storage(urls[0], FEW_ROWS)
            many = await filled_storage(urls[1], options.rows)
            result += await _measure(name, few, many, options.rows, options)
            plans[name] = await explain(many, urls[1])
            await few.close()
            await many.close()
    return result, plans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the large database (default 1000000)")
    parser.add_argument("--calls", type=int, default=100, help="of each query, below 500 (default 100)")
    parser.add_argument("--explain", action="store_true", help="print the query plans")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows, plans = asyncio.run(measure_all(options))
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "plans": plans}, indent=2))
        return
    print(f"{'database':>8}  {'query':<26}{FEW_ROWS:>12} rows{options.rows:>12} rows   ratio")
    for row in rows:
        print(f"{row.database:>8}  {row.query:<26}{row.few_rows_ms:>14} ms{row.many_rows_ms:>14} ms{row.ratio:>8}")
    if options.explain:
        for database, of_database in plans.items():
            for name, plan in of_database.items():
                print(f"\n{database} {name}\n{plan}")
    print(f"\nload average {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors")


if __name__ == "__main__":
    run_benchmark(main)
