"""The queries that run all the time walk an index, however many rows there are and whatever SQLite knows of them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from runtara_core import migrations
from runtara_core.database import Dialect
from runtara_core.storages.sqlite_storage import SQLITE_QUERIES

START_MS = 1_700_000_000_000
INDEX_OF = {
    "lock_instance": "sqlite_autoindex_instances_1",
    "advance_plain_checkpoint": "sqlite_autoindex_(instances|checkpoints)_1",
    "load_signals_at_checkpoint": "sqlite_autoindex_(pending|custom)_signals_1",
    "count_running": "instances_running",
    "lock_due_wakes": "instances_wake",
    "lock_due_wake": "sqlite_autoindex_instances_1",
    "count_admission": "instances_(running|wake)",
    "count_running_by_tenant": "instances_running",
    "count_running_of_tenant": "instances_running",
    "lock_expired_leases": "instances_lease",
    "lock_expired_leases_elsewhere": "instances_lease",
    "expire_leases": "instances_lease",
    "last_contacts": "(instances_running|sqlite_autoindex_instance_progress_1)",
    "lock_finished": "instances_finished",
    "list_checkpoints": "checkpoints_order",
    "list_events_descending": "instance_events_order",
    "list_events_ascending": "instance_events_order",
    "load_waiting_signals": "sqlite_autoindex_pending_signals_1",
    "load_custom_signal": "sqlite_autoindex_custom_signals_1",
    "load_custom_signals": "sqlite_autoindex_custom_signals_1",
    "next_wake": "instances_(wake|lease)",
    "next_lease_elsewhere": "instances_lease",
    "find_waiting_heads": "(instances_turns|sqlite_autoindex_instances_1)",
    "find_due_by_turns": "(instances_turns|sqlite_autoindex_instances_1)",
    "find_news": "sqlite_autoindex_(instances|pending_signals|custom_signals)_1",
    "record_contacts": "(sqlite_autoindex_instances_1|instances_running)",
}
# Pages of an instance's history: first the index that the page is taken from.
PAGES = {
    "list_scope_events_descending": "instance_events_(scope|order)",
    "list_scope_events_ascending": "instance_events_(scope|order)",
    "search_events_descending": "instance_events_order",
    "search_scope_events_ascending": "instance_events_(scope|order)",
    "load_step": "sqlite_autoindex_instance_steps_2",
    "list_steps_ascending": "sqlite_autoindex_instance_steps_1",
    "list_steps_descending": "sqlite_autoindex_instance_steps_1",
    "list_scope_steps_ascending": "instance_steps_scope",
    "list_scope_steps_descending": "instance_steps_scope",
    "count_steps": "sqlite_autoindex_instance_steps_[12]",
    "count_scope_steps": "instance_steps_scope",
    "first_step_of_scope": "instance_steps_scope",
    "count_ended": "instances_tenant_finished",
}
SORTS_FEW = {"load_signals_at_checkpoint", "count_running_by_tenant", "find_due_by_turns"}
"""Three rows, those that run, and as many as are wanted of each tenant."""

LISTS = [
    f"list_{kind}_{column}_{way}"
    for kind in ("instances", "tenant_instances")
    for column in ("created_at", "finished_at")
    for way in ("desc", "asc", "desc_after", "asc_after")
]
TOTALS = ["count_instances", "count_tenant_instances", "count_all_tenant_instances", "count_all_instances"]

# Many that are over and many that sleep, some due, a few that run: as a database looks after some months.
ROWS = f"""
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
INSERT INTO instances (instance_id, tenant_id, image_id, status, termination_reason, epoch, created_at_ms, wake_at_ms,
                       finished_at_ms, lease_owner, lease_until_ms)
SELECT 'instance-' || n, 'tenant-' || (n % 7), 'image-' || (n % 3),
       CASE WHEN n % 100 = 0 THEN 'running' WHEN n % 2 THEN 'suspended' ELSE 'completed' END,
       CASE WHEN n % 100 = 0 THEN NULL WHEN n % 2 THEN 'sleeping' ELSE 'completed' END, 1, {START_MS} + n,
       CASE WHEN n % 2 AND n % 100 THEN {START_MS} + n END, CASE WHEN n % 2 = 0 AND n % 100 THEN {START_MS} + n END,
       CASE WHEN n % 100 = 0 THEN 'owner' END, CASE WHEN n % 100 = 0 THEN {START_MS} + n END
FROM numbers;
INSERT INTO instance_inputs SELECT instance_id, '', '{{}}' FROM instances;
INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state)
SELECT instance_id, 'step', 0, '' FROM instances UNION ALL SELECT instance_id, 'other', 0, '' FROM instances;
INSERT INTO instance_events (instance_id, epoch, event_type, created_at_ms)
SELECT instance_id, 1, 'started', 0 FROM instances UNION ALL SELECT instance_id, 1, 'custom', 0 FROM instances;
INSERT INTO instance_steps (instance_id, position, step_key, step_id, step_type, scope_id, is_nested, status,
                            start_event_id, started_at_ms)
SELECT instance_id, id, 'key-' || id, 'step', 'Agent', 'sc_a', 0, 'running', id, 0 FROM instance_events;
INSERT INTO pending_signals (instance_id, signal_type, created_at_ms, payload)
SELECT instance_id, 'cancel', 0, '' FROM instances;
INSERT INTO custom_signals (instance_id, checkpoint_id, created_at_ms, payload)
SELECT instance_id, 'step', 0, '' FROM instances;
"""


@pytest.fixture(scope="module", params=["no rows", "rows", "rows that were analyzed"])
def connection(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("plans") / "core.db"
    asyncio.run(migrations.run(str(path)))
    with closing(sqlite3.connect(path)) as connection:
        if request.param != "no rows":
            connection.executescript(ROWS)
        if request.param == "rows that were analyzed":
            connection.executescript("ANALYZE")
        yield connection


def _plan(connection: sqlite3.Connection, name: str, **parameters: Any) -> list[str]:
    query = SQLITE_QUERIES.for_dialect(Dialect.SQLITE)[name]
    given = {**dict.fromkeys(query.parameters), **parameters}
    return [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {query.text}", given)]


@pytest.mark.parametrize("name", INDEX_OF)
def test_a_frequent_query_walks_its_index(connection: sqlite3.Connection, name: str) -> None:
    plan = _plan(connection, name)
    tables = [step for step in plan if re.search(r"instances|checkpoints|events|signals", step)]
    if name.startswith("list_events"):  # an event of completion shows the output of its instance
        tables.remove("SEARCH instances USING INDEX sqlite_autoindex_instances_1 (instance_id=?)")
    assert tables
    for step in tables:
        assert re.search(rf"INDEX {INDEX_OF[name]}\b", step), plan
        # As many as the limit lets run.
        assert step.startswith(("SEARCH", "SCAN instances USING INDEX instances_running")), plan
    if name not in SORTS_FEW:
        assert not any("TEMP B-TREE" in step for step in plan if "RIGHT PART" not in step), plan


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_a_history_reads_nothing_else(connection: sqlite3.Connection, name: str) -> None:
    plan = _plan(connection, name)
    read = [step for step in plan if step.startswith(("SEARCH", "SCAN"))]
    assert re.search(rf"SEARCH .* INDEX {PAGES[name]}\b", read[0]), plan
    # All else is looked up by row, or is the page.
    assert all(re.match(r"SCAN (page|found)$|SEARCH .*(PRIMARY KEY|autoindex)", step) for step in read[1:]), plan


@pytest.mark.parametrize("name", LISTS)
def test_a_list_reads_whole_rows_for_its_page_alone(connection: sqlite3.Connection, name: str) -> None:
    plan = _plan(connection, name, tenant_id="tenant-3", limit=50, offset=0)
    kind = "instances_tenant_listing" if "tenant" in name else "instances_listing"
    chosen = [step for step in plan if re.search(r"instances", step)]
    # Behind a row of an order by creation it begins at the row.
    is_sought = "tenant" in name or re.search("created_at_.*_after", name)
    assert chosen[0].startswith("SEARCH" if is_sought else "SCAN"), plan
    assert f"USING COVERING INDEX {kind}" in chosen[0], plan
    assert "sqlite_autoindex_instances_1 (instance_id=?)" in chosen[1], plan
    assert len(chosen) == 2, plan
    if "created" in name:
        # What is sorted is the page; nothing before it is materialized.
        page = plan.index(next(step for step in plan if step.startswith("SCAN page")))
        assert not any("TEMP B-TREE" in step for step in plan[:page]), plan


@pytest.mark.parametrize("name", TOTALS)
def test_a_total_reads_no_row(connection: sqlite3.Connection, name: str) -> None:
    steps = [step for step in _plan(connection, name, tenant_id="tenant-3") if "instances" in step]
    assert len(steps) == 1
    assert "USING COVERING INDEX" in steps[0]
    if "tenant" in name:
        assert steps[0].startswith("SEARCH instances USING COVERING INDEX instances_tenant_listing (tenant_id=?)")


def test_the_walk_over_tenants_steps_over_what_waits_for_each(connection: sqlite3.Connection) -> None:
    plan = _plan(connection, "find_waiting_heads")
    # A step by the first column alone would read all that waits for the tenant.
    for step in ("(tenant_id,image_id)>(?,?)", "tenant_id=? AND image_id>?", "tenant_id>?"):
        assert f"SEARCH instances USING INDEX instances_turns ({step})" in plan
