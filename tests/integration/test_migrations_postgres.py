from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from runtara_core import migrations
from runtara_core.database import Dialect
from runtara_core.migrations import MigrationSet
from runtara_environment import migrations as environment_migrations
from runtara_sdk.errors import StorageError
from runtara_sdk.models import EventType, InstanceStatus, SignalType, TerminationReason

ENUMERATED = {
    ("instances", "status"): InstanceStatus,
    ("instances", "termination_reason"): TerminationReason,
    ("instance_events", "event_type"): EventType,
    ("pending_signals", "signal_type"): SignalType,
}
CORE_VERSIONS = sorted(
    int(file.name.partition("_")[0])
    for file in resources.files(migrations).joinpath("postgres").iterdir()
    if file.name.endswith(".sql")
)


async def test_running_twice_does_nothing_more(empty_postgres_database_url: str) -> None:
    first = await migrations.run(empty_postgres_database_url)
    assert [each.version for each in first] == CORE_VERSIONS
    assert await migrations.run(empty_postgres_database_url) == ()


async def test_concurrent_runs_apply_each_file_once(empty_postgres_database_url: str) -> None:
    runs = await asyncio.gather(*(migrations.run(empty_postgres_database_url) for _ in range(6)))
    assert sorted(each.version for run in runs for each in run) == CORE_VERSIONS


async def test_a_failing_file_leaves_nothing_behind(
    empty_postgres_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "failing_package" / "migrations" / "postgres"
    folder.mkdir(parents=True)
    (tmp_path / "failing_package" / "__init__.py").write_text("")
    (folder / "20250101000001_first.sql").write_text("CREATE TABLE first (id BIGINT); SELECT nothing FROM nowhere;")
    monkeypatch.syspath_prepend(str(tmp_path))
    failing = MigrationSet("failing", "failing_package", "migrations")
    with pytest.raises(Exception, match="migrations: the database refused the statement"):
        await migrations.run(empty_postgres_database_url, [failing])
    connection = await asyncpg.connect(empty_postgres_database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables == []


@pytest.fixture
async def sqlite_file(tmp_path: Path) -> Path:
    await migrations.run(str(tmp_path / "core.db"))
    return tmp_path / "core.db"


def _listed_values(definitions: str, column: str) -> set[str]:
    lists = re.findall(rf"{column}\s+(?:IN \(|= ANY \(\(?ARRAY\[)([^)\]]*)", definitions)
    return set(re.findall(r"'(\w+)'", max(lists, key=len)))


@pytest.mark.parametrize(("table", "column"), ENUMERATED)
async def test_checks_list_every_value_of_the_enumerations(
    sqlite_file: Path, postgres_database_url: str, table: str, column: str
) -> None:
    values: type[StrEnum] = ENUMERATED[table, column]
    # Kept as a crash and the epoch of the launch, which processes of earlier versions can read.
    expected = {value.value for value in values} - {TerminationReason.OUT_OF_MEMORY.value}
    connection = sqlite3.connect(sqlite_file)
    (definition,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.close()
    assert _listed_values(definition, column) == expected, Dialect.SQLITE
    server = await asyncpg.connect(postgres_database_url)
    rows = await server.fetch(
        "SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint"
        " WHERE contype = 'c' AND conrelid = $1::text::regclass",
        table,
    )
    await server.close()
    assert _listed_values("\n".join(row["definition"] for row in rows), column) == expected, Dialect.POSTGRES


@pytest.fixture
async def pool(empty_postgres_database_url: str) -> AsyncIterator[asyncpg.Pool[Any]]:
    """A caller's own pool, with one connection and no cache, as behind a connection pooler."""
    pool = await asyncpg.create_pool(empty_postgres_database_url, min_size=0, max_size=1, statement_cache_size=0)
    yield pool
    await pool.close()


async def test_core_alone_on_a_pool_of_the_caller(pool: asyncpg.Pool[Any]) -> None:
    assert [each.version for each in await migrations.run_postgres(pool)] == CORE_VERSIONS
    assert await migrations.run_postgres(pool) == await migrations.run(pool) == ()
    # The pool stays its owner's.
    assert await pool.fetchval("SELECT count(*) FROM runtara_migrations") == len(CORE_VERSIONS)


async def test_core_and_environment_on_a_pool_of_the_caller(
    pool: asyncpg.Pool[Any], empty_postgres_database_url: str
) -> None:
    applied = await environment_migrations.run(pool)
    assert {each.migration_set for each in applied} == {"core", "environment"}
    assert await environment_migrations.run(empty_postgres_database_url) == ()
    assert await migrations.run_postgres(pool) == ()


async def test_errors_on_a_pool_are_translated(pool: asyncpg.Pool[Any]) -> None:
    await pool.close()
    with pytest.raises(StorageError, match="migrations: "):
        await migrations.run_postgres(pool)
