"""Queries about images, launches, hosts and copies find their rows by an index on PostgreSQL, in tables with many."""

from __future__ import annotations

from typing import Any

import asyncpg
from runtara_core.database import Dialect, QuerySet, create_database
from runtara_core.database.queries import Query
from runtara_environment import migrations
from runtara_environment.sql.queries import environment_queries

QUERIES = QuerySet.load("runtara_environment", "sql/environment.sql").for_dialect(Dialect.POSTGRES)
READS_ALL = {"count_images", "forget_hosts", "list_hosts", "load_database_identity"}
"""There are few hosts, and one identity."""

PLANS_BEFORE_GENERIC = 5
GIVEN: dict[str, Any] = {
    "image_ids": '["image-7", "image-8"]',
    "instance_ids": '["image-7"]',
    "digests": '["digest-image-7"]',
    "tenant_id": "tenant-7",
    "image_id": "image-7",
    "instance_id": "image-7",
    "after_image_id": "image-7",
    "after_instance_id": "image-7",
    "host_id": "host-7",
    "owner": "owner-7",
    "digest": "digest-image-7",
    "after_digest": "digest-image-7",
    "prefix": "name-77",
    "bound": "name-77\U0010ffff",
    "seen_before_ms": 1,
    "requested_before_ms": 1,
}
TEXTS = {
    "database_id",
    "address",
    "description",
    "metadata",
    "limits",
    "runner",
    "signature",
    "input_schema",
    "scenario_id",
}
ROWS = """
INSERT INTO images (image_id, tenant_id, name, runner_type, current_version, created_at_ms, updated_at_ms,
    deleted_at_ms)
SELECT 'image-' || n, 'tenant-' || (n % 100), 'name-' || n, 'native', 1, n, n, CASE WHEN n % 9 = 0 THEN n END
FROM generate_series(1, 10000) AS numbers (n);
INSERT INTO image_versions (image_id, version, digest, size_bytes, kind, created_at_ms)
SELECT image_id, v, CASE v WHEN 1 THEN 'digest-' ELSE 'other-' END || image_id, 1, 'native', created_at_ms
FROM images, generate_series(1, 2) AS versions (v);
INSERT INTO launches SELECT image_id, 1, 'owner-' || (created_at_ms % 99), 'host-' || (created_at_ms % 99), 'native',
    '', '', 'started', NULL, 1 FROM images;
INSERT INTO launch_owners SELECT 'owner-' || image_id, 'host-' || (created_at_ms % 999), 1 FROM images;
INSERT INTO hosts SELECT 'host-' || n, '', '', '', '', '', '', 'active', 0, 0, 1, n, NULL, NULL
    FROM generate_series(1, 2000) AS numbers (n);
INSERT INTO host_artifacts SELECT 'host-' || (1 + created_at_ms % 50), digest FROM image_versions;
INSERT INTO stop_requests SELECT image_id, 1, 1, created_at_ms FROM images;
INSERT INTO stored_artifacts SELECT digest, 1, created_at_ms FROM image_versions;
INSERT INTO artifact_chunks SELECT digest, 0, '\\x00' FROM image_versions;
"""


async def test_no_query_reads_a_table_from_end_to_end(postgres_database_url: str) -> None:
    database = create_database(postgres_database_url, environment_queries())
    await database.open()
    await migrations.run(database)
    await database.close()
    connection = await asyncpg.connect(postgres_database_url)
    await connection.execute(ROWS)
    wrong = []
    for maintenance in ("SELECT", "VACUUM ANALYZE"):  # at first the server knows sizes alone
        await connection.execute(maintenance)
        for name, query in QUERIES.items():
            plan = await _plan(connection, name, query)
            if "Seq Scan" in plan and name not in READS_ALL:
                wrong.append(f"{name} after {maintenance}\n{plan}")
    await connection.close()
    assert not wrong, "\n".join(wrong)


async def _plan(connection: asyncpg.Connection[Any], name: str, query: Query) -> str:
    arguments = ", ".join(_literal(each) for each in query.parameters)
    await connection.execute(f"PREPARE {name} AS {query.text}")
    explain = f"EXPLAIN (COSTS OFF) EXECUTE {name}{f' ({arguments})' if arguments else ''};"
    # The driver prepares its statements, so in the end the server may choose a plan without the parameters.
    await connection.execute(explain * PLANS_BEFORE_GENERIC)
    rows = await connection.fetch(explain)
    await connection.execute(f"DEALLOCATE {name}")
    return "\n".join(row[0] for row in rows)


def _literal(parameter: str) -> str:
    if parameter in GIVEN:
        return f"'{GIVEN[parameter]}'"
    if parameter == "content":
        return r"'\x00'"
    return "'text'" if parameter in TEXTS else "7" if parameter.endswith(("_ms", "limit", "offset")) else "'7'"
