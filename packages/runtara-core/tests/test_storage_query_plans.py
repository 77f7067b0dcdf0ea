"""The queries that run all the time walk an index, however many rows there are."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from runtara_core import migrations
from runtara_core.database import Dialect
from runtara_core.storages.sql import CORE_QUERIES

INDEX_OF = {
    "lock_instance": "sqlite_autoindex_instances_1",
    "count_running": "instances_running",
    "lock_due_wakes": "instances_wake",
    "lock_expired_leases": "instances_lease",
    "expire_leases": "instances_lease",
    "lock_finished": "instances_finished",
    "list_checkpoints": "checkpoints_order",
    "list_events_descending": "instance_events_order",
    "list_events_ascending": "instance_events_order",
    "list_instances_created_at_desc": "instances_created",
    "list_tenant_instances_created_at_desc": "instances_tenant_created",
    "count_tenant_instances": "instances_tenant",
    "load_waiting_signals": "sqlite_autoindex_pending_signals_1",
    "load_custom_signal": "sqlite_autoindex_custom_signals_1",
}


@pytest.mark.parametrize("name", [*INDEX_OF, "next_wake"])
async def test_a_frequent_query_walks_its_index(tmp_path: Path, name: str) -> None:
    await migrations.run(str(tmp_path / "core.db"))
    query = CORE_QUERIES.for_dialect(Dialect.SQLITE)[name]
    connection = sqlite3.connect(tmp_path / "core.db")
    rows = connection.execute(f"EXPLAIN QUERY PLAN {query.text}", dict.fromkeys(query.parameters))
    plan = [detail for *_, detail in rows]
    connection.close()
    tables = [step for step in plan if re.search(r"instances|checkpoints|events|signals", step)]
    assert tables
    for step in tables:
        assert "INDEX" in step, plan
        assert INDEX_OF.get(name, "instances_") in step, plan
    assert not any("TEMP B-TREE" in step for step in plan if "RIGHT PART" not in step), plan
