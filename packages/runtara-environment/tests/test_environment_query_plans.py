"""Queries about images, launches, hosts and copies find their rows by an index, whatever SQLite knows of the tables."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from runtara_core.database import Dialect, QuerySet, create_database
from runtara_environment import migrations
from runtara_environment.sql.queries import environment_queries

QUERIES = QuerySet.load("runtara_environment", "sql/environment.sql").for_dialect(Dialect.SQLITE)
READS_ALL = {
    "count_images": "SCAN images",
    "list_images": "SCAN images USING INDEX images_created",  # from its end, and no more than a page
    "list_hosts": "SCAN hosts USING INDEX hosts_last_seen",
    "load_database_identity": "SCAN database_identity",  # one row
}
SORTS = {
    "list_owners_of_host": "processes of one host that were killed",
    "list_hosts": "hosts that were heard of in the same millisecond",
    "list_hosts_with_artifact": "holders of one artifact",
    "list_launches_of_host": "launches of one instance",
    "list_launches_of_owner": "launches of one instance",
}
"""What is sorted, which is little."""

ROWS = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
INSERT INTO images (image_id, tenant_id, name, runner_type, current_version, created_at_ms, updated_at_ms,
    deleted_at_ms)
SELECT 'image-' || n, 'tenant-' || (n % 7), 'name-' || n, 'native', 1, n, n, CASE WHEN n % 9 = 0 THEN n END
FROM numbers;
INSERT INTO image_versions (image_id, version, digest, size_bytes, kind, created_at_ms)
SELECT image_id, 1, 'digest-' || image_id, 1, 'native', created_at_ms FROM images
UNION ALL SELECT image_id, 2, 'other-' || image_id, 1, 'native', created_at_ms FROM images;
INSERT INTO launches SELECT image_id, 1, 'owner-' || (created_at_ms % 9), 'host-' || (created_at_ms % 9), 'native', '',
    '', 'started', NULL, 1 FROM images;
INSERT INTO launch_owners SELECT 'owner-' || image_id, 'host-' || (created_at_ms % 999), 1 FROM images;
INSERT INTO hosts SELECT 'host-' || created_at_ms, '', '', '', '', '', '', 'active', 0, 0, 1, created_at_ms, NULL, NULL
    FROM images WHERE created_at_ms < 1000;
INSERT INTO host_artifacts SELECT 'host-' || (1 + version), digest FROM image_versions;
INSERT INTO stop_requests SELECT image_id, 1, 1, created_at_ms FROM images;
INSERT INTO stored_artifacts SELECT digest, 1, created_at_ms FROM image_versions;
INSERT INTO artifact_chunks SELECT digest, 0, x'00' FROM image_versions;
"""


@pytest.fixture(scope="module", params=["no rows", "rows", "rows that were analyzed"])
def connection(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sqlite3.Connection]:
    path = tmp_path_factory.mktemp("plans") / "environment.db"
    asyncio.run(_migrate(path))
    with closing(sqlite3.connect(path)) as connection:
        if request.param != "no rows":
            connection.executescript(ROWS)
        if request.param == "rows that were analyzed":
            connection.executescript("ANALYZE")
        yield connection


async def _migrate(path: Path) -> None:
    database = create_database(f"sqlite:///{path}", environment_queries())
    await database.open()
    await migrations.run(database)
    await database.close()


def test_no_query_reads_a_table_from_end_to_end(connection: sqlite3.Connection) -> None:
    wrong = []
    for name, query in QUERIES.items():
        given = dict.fromkeys(query.parameters)
        plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {query.text}", given)]
        scans = [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]  # of what was given
        if name in READS_ALL:
            scans = [step for step in scans if not re.match(READS_ALL[name], step)]
        if scans or (name not in SORTS and any("TEMP B-TREE" in step for step in plan)):
            wrong.append(f"{name}: {plan}")
    assert not wrong, "\n".join(wrong)
