from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from runtara_core import migrations
from runtara_core.database import Dialect, QuerySet, Transaction, create_database
from runtara_core.migrations import MigrationSet
from runtara_environment import migrations as environment_migrations
from runtara_sdk.errors import ConfigurationError, StorageError
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
LOGICAL_TYPES = {
    "bigint": "integer",
    "integer": "integer",
    "text": "text",
    "bytea": "bytes",
    "blob": "bytes",
}


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


async def test_a_changed_file_is_refused(empty_postgres_database_url: str) -> None:
    await migrations.run(empty_postgres_database_url)
    connection = await asyncpg.connect(empty_postgres_database_url)
    await connection.execute("UPDATE runtara_migrations SET checksum = 'other' WHERE version = 1")
    await connection.close()
    with pytest.raises(ConfigurationError, match="applied files must never change"):
        await migrations.run(empty_postgres_database_url)


@pytest.fixture
async def sqlite_file(tmp_path: Path) -> Path:
    await migrations.run(str(tmp_path / "core.db"))
    return tmp_path / "core.db"


type_of = LOGICAL_TYPES.__getitem__


def _sqlite_columns(path: Path) -> dict[str, dict[str, tuple[str, bool]]]:
    connection = sqlite3.connect(path)
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    schema = {
        table: {
            # An INTEGER PRIMARY KEY takes no NULL, although the listing says nothing of it.
            name: (type_of(kind.lower()), bool(not_null) or bool(key))
            for _, name, kind, not_null, _, key in connection.execute(f"PRAGMA table_info({table})")
        }
        for table in tables
    }
    connection.close()
    return schema


async def _postgres_columns(url: str) -> dict[str, dict[str, tuple[str, bool]]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
    )
    await connection.close()
    schema: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in rows:
        columns = schema.setdefault(row["table_name"], {})
        columns[row["column_name"]] = (type_of(row["data_type"]), row["is_nullable"] == "NO")
    return schema


async def test_both_databases_have_the_same_tables_and_columns(sqlite_file: Path, postgres_database_url: str) -> None:
    assert _sqlite_columns(sqlite_file) == await _postgres_columns(postgres_database_url)


async def test_both_databases_have_the_same_indexes(sqlite_file: Path, postgres_database_url: str) -> None:
    connection = sqlite3.connect(sqlite_file)
    sqlite_indexes = {
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    }
    connection.close()
    server = await asyncpg.connect(postgres_database_url)
    postgres_indexes = {
        row["indexname"]
        for row in await server.fetch("SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
        if not row["indexname"].endswith(("_pkey", "_key")) or row["indexname"] == "instance_events_key"
    }
    await server.close()
    assert sqlite_indexes == postgres_indexes


def _listed_values(definitions: str, column: str) -> set[str]:
    lists = re.findall(rf"{column}\s+(?:IN \(|= ANY \(\(?ARRAY\[)([^)\]]*)", definitions)
    return set(re.findall(r"'(\w+)'", max(lists, key=len)))


@pytest.mark.parametrize(("table", "column"), ENUMERATED)
async def test_checks_list_every_value_of_the_enumerations(
    sqlite_file: Path, postgres_database_url: str, table: str, column: str
) -> None:
    values: type[StrEnum] = ENUMERATED[table, column]
    expected = {value.value for value in values}
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


async def test_versions_of_a_newer_product_are_left_alone(pool: asyncpg.Pool[Any]) -> None:
    await migrations.run_postgres(pool)
    await pool.execute("INSERT INTO runtara_migrations VALUES (999, 'core', 'later', 'checksum', 1)")
    assert await migrations.run_postgres(pool) == ()
    assert len(await environment_migrations.run(pool)) > 0


async def _apply_up_to(url: str, version: int, tmp_path: Path) -> None:
    """A database as the product of an earlier version left it."""
    database = create_database(url, QuerySet({}, {}))
    await database.open()
    folder = resources.files(migrations).joinpath(database.dialect.value)
    earlier = tmp_path / f"earlier_{version}"
    shutil.copytree(
        str(folder),
        earlier / database.dialect.value,
        ignore=lambda _, names: {
            name for name in names if not name.endswith(".sql") or int(name.partition("_")[0]) > version
        },
    )
    script = [file for file in (earlier / database.dialect.value).iterdir() if file.suffix == ".sql"]

    async def work(transaction: Transaction) -> None:
        await transaction.execute("create_migrations_table")
        for file in sorted(script):
            text = file.read_text(encoding="utf-8")
            await transaction.execute_script(text)
            await transaction.execute(
                "insert_migration",
                version=int(file.name.partition("_")[0]),
                migration_set="core",
                name=file.stem.partition("_")[2],
                checksum=hashlib.sha256(text.encode()).hexdigest(),
                applied_at_ms=1,
            )

    await database.run(work, operation="prepare")
    await database.close()


@pytest.mark.parametrize("version", CORE_VERSIONS)
async def test_every_earlier_version_comes_up_to_the_same_schema(
    version: int, tmp_path: Path, empty_postgres_database_url: str, postgres_database_url: str, sqlite_file: Path
) -> None:
    earlier = tmp_path / "earlier.db"
    for url in (str(earlier), empty_postgres_database_url):
        await _apply_up_to(url, version, tmp_path)
        assert [each.version for each in await migrations.run(url)] == [
            each for each in CORE_VERSIONS if each > version
        ]
        assert len(await environment_migrations.run(url)) > 0
    await environment_migrations.run(str(sqlite_file))
    await environment_migrations.run(postgres_database_url)
    expected = _sqlite_columns(sqlite_file)
    assert _sqlite_columns(earlier) == expected
    assert await _postgres_columns(empty_postgres_database_url) == expected
    assert await _postgres_columns(postgres_database_url) == expected


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_processes_that_start_at_once_take_turns(
    kind: str, tmp_path: Path, empty_postgres_database_url: str
) -> None:
    url = empty_postgres_database_url if kind == "postgres" else str(tmp_path / "new.db")
    program = (
        "import asyncio, sys; from runtara_environment import migrations;"
        "print(*(each.version for each in asyncio.run(migrations.run(sys.argv[1]))))"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, url, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    async with asyncio.timeout(60):
        outputs = [(await process.communicate())[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    applied = [int(version) for output in outputs for version in output.split()]
    assert len(applied) == len(set(applied))
    assert set(CORE_VERSIONS) < set(applied)
