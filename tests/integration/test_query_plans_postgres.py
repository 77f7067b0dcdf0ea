"""The queries that run all the time walk an index on PostgreSQL, with many suspended instances in the table."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from runtara_core.database import Dialect
from runtara_core.storages.postgres_batches import POSTGRES_QUERIES

ROWS = 20_000
START_MS = 1_700_000_000_000
QUERIES = POSTGRES_QUERIES.for_dialect(Dialect.POSTGRES)
FILTER = dict.fromkeys(
    ("statuses", "image_ids", "created_after_ms", "created_before_ms", "finished_after_ms", "finished_before_ms")
)
PAGE = {**FILTER, "limit": 50, "offset": 0}
CALLS: dict[str, dict[str, Any]] = {
    "lock_instance": {"instance_id": "instance-7"},
    "get_instance": {"instance_id": "instance-7"},
    "count_running": {},
    "lock_due_wakes": {"now_ms": START_MS, "limit": 50},
    "lock_expired_leases": {"now_ms": START_MS, "limit": 50},
    "next_wake": {},
    "list_instances_created_at_desc": PAGE,
    "list_tenant_instances_created_at_desc": {"tenant_id": "tenant-7", **PAGE},
    "count_tenant_instances": {"tenant_id": "tenant-7", **FILTER},
    "load_waiting_signals": {"instance_id": "instance-7"},
    "load_custom_signal": {"instance_id": "instance-7", "checkpoint_id": "step"},
    "checkpoint_batch": {
        "instance_ids": ["instance-7", "instance-8"],
        "epochs": [1, None],
        "checkpoint_ids": ["step", "step"],
        "states": [b"1", b"2"],
        "times_ms": [START_MS, START_MS],
    },
}
PLANS_BEFORE_GENERIC = 5
INDEX_ONLY = {"count_running", "next_wake"}


@pytest.fixture
async def connection(postgres_database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(postgres_database_url)
    await connection.execute(
        f"""
        INSERT INTO instances (instance_id, tenant_id, image_id, status, termination_reason, epoch, created_at_ms,
                               wake_at_ms)
        SELECT 'instance-' || n, 'tenant-' || (n % 100), 'image', 'suspended', 'sleeping', 1, {START_MS} + n,
               {START_MS} + n
        FROM generate_series(1, {ROWS}) AS numbers (n);
        INSERT INTO instance_inputs SELECT instance_id, '', '{{}}' FROM instances;
        INSERT INTO pending_signals (instance_id, signal_type, created_at_ms, payload)
        SELECT instance_id, 'cancel', 0, '' FROM instances;
        INSERT INTO custom_signals (instance_id, checkpoint_id, created_at_ms, payload)
        SELECT instance_id, 'step', 0, '' FROM instances;
        """
    )
    await connection.execute("VACUUM ANALYZE")
    yield connection
    await connection.close()


async def test_frequent_queries_walk_their_indexes(connection: asyncpg.Connection[Any]) -> None:
    for name, parameters in CALLS.items():
        query = QUERIES[name]
        arguments = ", ".join(_literal(parameters[each]) for each in query.parameters)
        await connection.execute(f"PREPARE {name} AS {query.text}")
        for _ in range(PLANS_BEFORE_GENERIC + 1):
            # The driver prepares its statements, so in the end the server may choose a plan without the parameters.
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE {name}{f' ({arguments})' if arguments else ''}")
        plan = "\n".join(row[0] for row in rows)
        assert re.search(r"Index (Only )?Scan|Bitmap Index Scan", plan), f"{name}\n{plan}"
        assert "Seq Scan" not in plan, f"{name}\n{plan}"
        if name in INDEX_ONLY:
            assert "Index Scan" not in plan, f"{name}\n{plan}"
        # A page is taken from the end of an index; sorting all rows of it would cost more the more there are.
        if name.startswith("list_"):
            assert not re.search(r"(?<!Incremental )Sort$", plan, re.MULTILINE), f"{name}\n{plan}"


def _literal(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case int():
            return str(value)
        case bytes():
            return rf"'\x{value.hex()}'::bytea"
        case list():
            return f"ARRAY[{', '.join(map(_literal, value))}]"
        case _:
            return f"'{value}'"
