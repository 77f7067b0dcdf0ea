"""The queries that run all the time walk an index on PostgreSQL, with many instances in the table."""

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
    (
        "statuses",
        "reasons",
        "image_ids",
        "created_after_ms",
        "created_before_ms",
        "finished_after_ms",
        "finished_before_ms",
    )
)
PAGE = {**FILTER, "limit": 50, "offset": 0}
BEHIND = {**PAGE, "after_time_ms": START_MS + 10_000, "after_instance_id": "instance-7"}
STEPS = {"instance_id": "instance-7", "status": None, "step_type": None, "parent_scope_id": None, "most_nested": 1}
STEPS_PAGE = {**STEPS, "after_position": 0, "limit": 50, "offset": 0}
CALLS: dict[str, dict[str, Any]] = {
    "lock_instance": {"instance_id": "instance-7"},
    "get_instance": {"instance_id": "instance-7", "max_input_bytes": 1_000},
    "load_instance_input": {"instance_id": "instance-7", "max_input_bytes": 1_000},
    "read_input": {"instance_id": "instance-7", "start": 1, "count": 1_000},
    "count_running": {},
    "lock_due_wakes": {"now_ms": START_MS, "limit": 50},
    "lock_expired_leases": {"leases_ended_by_ms": START_MS, "limit": 50},
    "next_wake": {},
    "lock_due_wake": {"instance_id": "instance-7", "now_ms": START_MS},
    "count_admission": {"now_ms": START_MS, "most_due": 9},
    "count_running_by_tenant": {},
    "count_running_of_tenant": {"tenant_id": "tenant-7"},
    "find_waiting_heads": {"after_tenant_id": "", "after_image_id": "", "most_heads": 500},
    "find_due_by_turns": {
        "turns": '[{"tenant_id": "tenant-7", "image_id": "image", "running": 3}]',
        "now_ms": START_MS,
        "limit": 8,
        "most_of_tenant": 9,
    },
    "lock_expired_leases_elsewhere": {"leases_ended_by_ms": START_MS, "limit": 50, "images": '["image-1"]'},
    "next_lease_elsewhere": {"images": '["image-1"]'},
    "list_instances_created_at_desc": PAGE,
    "list_instances_created_at_asc": PAGE,
    "list_instances_finished_at_desc": PAGE,
    "list_tenant_instances_created_at_desc": {"tenant_id": "tenant-7", **PAGE},
    "list_tenant_instances_created_at_asc": {"tenant_id": "tenant-7", **PAGE},
    "list_tenant_instances_finished_at_desc": {"tenant_id": "tenant-7", **PAGE},
    "list_instances_created_at_desc_after": BEHIND,
    "list_instances_created_at_asc_after": BEHIND,
    "list_tenant_instances_created_at_desc_after": {"tenant_id": "tenant-7", **BEHIND},
    "list_tenant_instances_created_at_asc_after": {"tenant_id": "tenant-7", **BEHIND},
    "count_ended": {"tenant_id": "tenant-7", "start_ms": START_MS, "end_ms": START_MS + 999, "width_ms": 3_600_000},
    "load_step": {"instance_id": "instance-7", "step_key": "key"},
    "first_step_of_scope": {"instance_id": "instance-7", "scope_id": "sc_a"},
    "list_steps_ascending": STEPS_PAGE,
    "list_scope_steps_ascending": {**STEPS_PAGE, "scope_id": "sc_a"},
    "count_steps": STEPS,
    "count_scope_steps": {**STEPS, "scope_id": "sc_a"},
    "count_instances": {**FILTER, "statuses": '["running"]'},
    "count_tenant_instances": {"tenant_id": "tenant-7", **FILTER},
    "count_all_tenant_instances": {"tenant_id": "tenant-7"},
    "count_all_instances": {},
    "lock_finished": {"finished_before_ms": START_MS, "limit": 50},
    "load_waiting_signals": {"instance_id": "instance-7"},
    "load_custom_signal": {"instance_id": "instance-7", "checkpoint_id": "step"},
    "load_custom_signals": {"instance_id": "instance-7", "checkpoint_ids": '["step", "other"]'},
    "find_news": {
        "watched": '[{"position": 0, "instance_id": "instance-7", "epoch": 1, "signal_id": 0, "checkpoint_id": "step"}]'
    },
    "last_contacts": {"owner": "owner", "after_instance_id": "instance-7", "limit": 500},
    "record_contacts": {"watched": '[{"instance_id": "instance-7", "epoch": 1}]', "now_ms": START_MS},
    "checkpoint_batch": {
        "instance_ids": ["instance-7", "instance-8"],
        "epochs": [1, None],
        "checkpoint_ids": ["step", "step"],
        "states": [b"1", b"2"],
        "times_ms": [START_MS, START_MS],
        "call_keys": [b"key", None],
    },
}
PLANS_BEFORE_GENERIC = 5
INDEX_ONLY = {
    "count_running",
    "next_wake",
    "count_instances",
    "count_tenant_instances",
    "count_all_tenant_instances",
    "count_all_instances",
}


READS_EVERYTHING = {"count_instances", "count_all_instances", "list_instances_finished_at_desc"}
"""They take whatever is smaller: an index when the server may trust it alone, else the table."""


@pytest.fixture(params=["VACUUM ANALYZE", "ANALYZE", "SELECT"])  # after the last one the server knows sizes alone
def maintenance(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def connection(maintenance: str, postgres_database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(postgres_database_url)
    await connection.execute(
        f"""
        INSERT INTO instances (instance_id, tenant_id, image_id, status, termination_reason, epoch, created_at_ms,
                               wake_at_ms, finished_at_ms, lease_until_ms, stderr)
        SELECT 'instance-' || n, 'tenant-' || (n % 100), 'image',
               CASE WHEN n % 100 = 0 THEN 'running' WHEN n % 4 = 0 THEN 'completed' ELSE 'suspended' END,
               CASE WHEN n % 100 = 0 THEN NULL WHEN n % 4 = 0 THEN 'completed' ELSE 'sleeping' END, 1, {START_MS} + n,
               CASE WHEN n % 4 > 0 THEN {START_MS} + n END,
               CASE WHEN n % 4 = 0 AND n % 100 > 0 THEN {START_MS} + n END,
               CASE WHEN n % 100 = 0 THEN {START_MS} + n END, repeat('x', 300)
        FROM generate_series(1, {ROWS}) AS numbers (n);
        INSERT INTO instance_inputs SELECT instance_id, '', '{{}}' FROM instances;
        INSERT INTO pending_signals (instance_id, signal_type, created_at_ms, payload)
        SELECT instance_id, 'cancel', 0, '' FROM instances;
        INSERT INTO custom_signals (instance_id, checkpoint_id, created_at_ms, payload)
        SELECT instance_id, 'step', 0, '' FROM instances;
        INSERT INTO instance_events (instance_id, epoch, event_type, created_at_ms)
        SELECT instance_id, 1, 'custom', 0 FROM instances, generate_series(1, 2);
        INSERT INTO instance_steps (instance_id, position, step_key, step_id, step_type, scope_id, is_nested, status,
                                    start_event_id, started_at_ms)
        SELECT instance_id, id, 'key-' || id, 'step', 'Agent', 'sc_a', 0, 'running', id, 0 FROM instance_events;
        """
    )
    await connection.execute(maintenance)
    yield connection
    await connection.close()


async def test_frequent_queries_walk_their_indexes(connection: asyncpg.Connection[Any], maintenance: str) -> None:
    vacuumed = maintenance == "VACUUM ANALYZE"
    for name, parameters in CALLS.items():
        if name in READS_EVERYTHING and not vacuumed:
            continue
        query = QUERIES[name]
        arguments = ", ".join(_literal(parameters[each]) for each in query.parameters)
        await connection.execute(f"PREPARE {name} AS {query.text}")
        for _ in range(PLANS_BEFORE_GENERIC + 1):
            # The driver prepares its statements, so in the end the server may choose a plan without the parameters.
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE {name}{f' ({arguments})' if arguments else ''}")
        plan = "\n".join(row[0] for row in rows)
        assert re.search(r"Index (Only )?Scan|Bitmap Index Scan", plan), f"{name}\n{plan}"
        assert "Seq Scan" not in plan, f"{name}\n{plan}"
        if name in INDEX_ONLY and vacuumed:
            assert "Index Scan" not in plan, f"{name}\n{plan}"
        if vacuumed and re.fullmatch(r"list_.*_created_at_(asc|desc)(_after)?", name):
            # Taken from the end of an index, which says all of them apart; only the page itself is read and sorted.
            assert re.search(r"Limit\n +-> +Index Only Scan", plan), f"{name}\n{plan}"
        if name.endswith("_after"):
            # It begins behind the row, and does not read those before.
            assert re.search(r"Index Cond: .*ROW\(created_at_ms", plan), f"{name}\n{plan}"
        if name.startswith("list_") and "instances" in name:
            assert re.search(r"instances_(tenant_)?listing\b", plan), f"{name}\n{plan}"
            assert "Index Scan using instances_pkey on instances" in plan, f"{name}\n{plan}"


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
