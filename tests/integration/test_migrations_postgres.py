from __future__ import annotations

import asyncio
import re
import sqlite3
from enum import StrEnum
from importlib import resources
from pathlib import Path

import asyncpg
import pytest
from runtara_core import migrations
from runtara_core.database import Dialect
from runtara_core.migrations import MigrationSet
from runtara_sdk.errors import ConfigurationError
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
