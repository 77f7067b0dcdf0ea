"""Databases of earlier versions, with rows in them, come up to one and the same schema and serve as new ones do."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from runtara_core import migrations
from runtara_core.database import Dialect, QuerySet, Transaction, create_database
from runtara_core.models import CoreLimits, InstanceFilter
from runtara_core.storages import open_storage
from runtara_environment import migrations as environment_migrations
from runtara_environment.launch_table import LaunchTable
from runtara_environment.migrations.runner import ENVIRONMENT_MIGRATIONS
from runtara_environment.registry import ImageRegistry
from runtara_environment.sql.queries import environment_queries
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.models import InstanceStatus, SignalType

SETS = (migrations.CORE_MIGRATIONS, ENVIRONMENT_MIGRATIONS)
START_MS = 1_700_000_000_000
LATER_MS = START_MS + 10**9


@dataclass(frozen=True, order=True)
class Shipped:
    """A file of migrations."""

    version: int
    name: str
    migration_set: str
    scripts: tuple[str, ...]
    """For SQLite and PostgreSQL."""

    def script(self, dialect: Dialect) -> str:
        return self.scripts[0] if dialect is Dialect.SQLITE else self.scripts[1]


def _shipped() -> list[Shipped]:
    found = []
    for each in SETS:
        folders = [resources.files(each.package).joinpath(each.directory, kind) for kind in ("sqlite", "postgres")]
        for file in folders[0].iterdir():
            match = re.fullmatch(r"(\d+)_(\w+)\.sql", file.name)
            if match is not None:
                scripts = tuple(folder.joinpath(file.name).read_text(encoding="utf-8") for folder in folders)
                found.append(Shipped(int(match[1]), match[2], each.name, scripts))
    return sorted(found)


SHIPPED = _shipped()
CORE = [each.version for each in SHIPPED if each.migration_set == "core"]
ENVIRONMENT = [each.version for each in SHIPPED if each.migration_set == "environment"]
# Every version of core alone, every version of an environment, and an environment newer than its core.
EARLIER = [
    *((core, None) for core in CORE),
    *((CORE[-1], version) for version in ENVIRONMENT),
    (CORE[0], ENVIRONMENT[-1]),
]

# What versions of before have written, told by the tables they had.
ROWS = {
    "instances": f"""
        INSERT INTO instances (instance_id, tenant_id, image_id, status, termination_reason, epoch, created_at_ms,
            started_at_ms, finished_at_ms, wake_at_ms, lease_owner, lease_until_ms, error, output)
        VALUES
            ('pending', 't', 'image', 'pending', NULL, 0, {START_MS}, NULL, NULL, {START_MS}, NULL, NULL, NULL, NULL),
            ('running', 't', 'image', 'running', NULL, 3, {START_MS + 1}, {START_MS}, NULL, NULL, 'owner', {LATER_MS},
             NULL, NULL),
            ('asleep', 't', 'image', 'suspended', 'sleeping', 2, {START_MS + 2}, {START_MS}, NULL, {LATER_MS}, NULL,
             NULL, NULL, NULL),
            ('done', 'u', NULL, 'completed', 'completed', 1, {START_MS + 3}, {START_MS}, {START_MS + 4}, NULL, NULL,
             NULL, NULL, :bytes);
        INSERT INTO instance_inputs VALUES ('pending', :bytes, :bytes);
        INSERT INTO checkpoints (instance_id, checkpoint_id, created_at_ms, state)
        VALUES ('running', 'step', {START_MS}, :bytes), ('done', 'step', {START_MS}, :bytes);
        INSERT INTO sleeps VALUES ('asleep', 'nap', {LATER_MS}, NULL);
        INSERT INTO instance_events (instance_id, epoch, event_type, event_key, created_at_ms, payload)
        VALUES ('running', 3, 'custom', 'key', {START_MS}, :bytes), ('done', 1, 'completed', NULL, {START_MS}, NULL);
        INSERT INTO pending_signals (instance_id, signal_type, created_at_ms, payload)
        VALUES ('running', 'cancel', {START_MS}, :bytes), ('running', 'pause', {START_MS}, :bytes),
            ('asleep', 'pause', {START_MS}, :bytes);
        DELETE FROM pending_signals WHERE signal_type = 'cancel' OR instance_id = 'asleep';
        INSERT INTO custom_signals VALUES ('running', 'gate', {START_MS}, :bytes);
        INSERT INTO retry_attempts (instance_id, checkpoint_id, attempt_number, error, created_at_ms)
        VALUES ('running', 'call', 2, 'no', {START_MS})""",
    "api_keys": f"""
        INSERT INTO token_secrets VALUES ('current', 'secret-1', {START_MS}, :bytes);
        INSERT INTO api_keys (key_id, tenant_id, name, created_at_ms, secret_sha256)
        VALUES ('key-1', 't', 'billing', {START_MS}, :bytes)""",
    "first_epochs": "UPDATE first_epochs SET epoch = 7",
    "image_versions": f"""
        INSERT INTO images (image_id, tenant_id, name, runner_type, current_version, created_at_ms, updated_at_ms)
        VALUES ('image', 't', 'program', 'native', 1, {START_MS}, {START_MS});
        INSERT INTO image_versions (image_id, version, digest, size_bytes, kind, created_at_ms)
        VALUES ('image', 1, 'digest', 9, 'executable', {START_MS})""",
    "launches": f"""
        INSERT INTO launches
        VALUES ('running', 3, 'owner', 'host', 'native', '/run', '{{}}', 'started', NULL, {START_MS});
        INSERT INTO launch_owners VALUES ('owner', 'host', {START_MS})""",
    "database_identity": "INSERT INTO database_identity VALUES (1, '0123456789abcdef')",
}
# How far instances have come, in their own rows at first, then in a table of its own.
PROGRESS_IN_INSTANCES = f"""
    UPDATE instances SET checkpoint_id = 'step', checkpoint_count = 1, recovery_attempts = 2,
        last_contact_at_ms = {START_MS + 9}
    WHERE instance_id = 'running';
    UPDATE instances SET checkpoint_id = 'nap', checkpoint_count = 1 WHERE instance_id = 'asleep'"""
PROGRESS_APART = PROGRESS_IN_INSTANCES.replace("UPDATE instances", "UPDATE instance_progress")


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return str(tmp_path / "earlier.db")
    chosen: str = request.getfixturevalue("empty_postgres_database_url")
    return chosen


async def bring_up_to(url: str, core: int, environment: int | None) -> dict[str, set[tuple[Any, ...]]]:
    """A database as an earlier version left it; returns its rows by table."""
    database = create_database(url, QuerySet({}, {}))
    await database.open()
    dialect = database.dialect
    last = {"core": core, "environment": environment or 0}

    async def work(transaction: Transaction) -> None:
        await transaction.execute("create_migrations_table")
        for each in SHIPPED:
            if each.version > last[each.migration_set]:
                continue
            text = each.script(dialect)
            await transaction.execute_script(text)
            await transaction.execute(
                "insert_migration",
                version=each.version,
                migration_set=each.migration_set,
                name=each.name,
                checksum=hashlib.sha256(text.encode()).hexdigest(),
                applied_at_ms=1,
            )
        applied = "\n".join(each.script(dialect) for each in SHIPPED if each.version <= last[each.migration_set])
        literal = "X'7b7d'" if dialect is Dialect.SQLITE else r"'\x7b7d'::bytea"
        scripts = [rows for table, rows in ROWS.items() if f"CREATE TABLE {table} " in applied]
        scripts.append(PROGRESS_APART if "CREATE TABLE instance_progress " in applied else PROGRESS_IN_INSTANCES)
        for script in scripts:
            await transaction.execute_script(script.replace(":bytes", literal) + ";")

    await database.run(work, operation="prepare")
    await database.close()
    return await rows_of(url)


async def rows_of(url: str) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table but the bookkeeping's, as pairs of column and value."""
    schema = await schema_of(url)
    rows: dict[str, set[tuple[Any, ...]]] = {}
    for table in schema.keys() - {"runtara_migrations"}:
        rows[table] = {tuple(sorted(row.items())) for row in await _query(url, f"SELECT * FROM {table}")}
    return _with_progress(rows)


def _with_progress(rows: dict[str, set[tuple[Any, ...]]]) -> dict[str, set[tuple[Any, ...]]]:
    """The rows, those of instances with the columns that have moved from there into a table of their own."""
    if "instance_progress" not in rows:
        return rows
    progress = {dict(row)["instance_id"]: dict(row) for row in rows["instance_progress"]}
    whole = {tuple(sorted({**progress[dict(row)["instance_id"]], **dict(row)}.items())) for row in rows["instances"]}
    return {**rows, "instances": whole}


async def _query(url: str, text: str) -> list[dict[str, Any]]:
    if "://" not in url:
        with closing(sqlite3.connect(url)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(text)]
    server = await asyncpg.connect(url)
    try:
        return [dict(row) for row in await server.fetch(text)]
    finally:
        await server.close()


# The schema, without what only one of the databases can say


async def schema_of(url: str) -> dict[str, Any]:
    """Of each table: its columns, keys, indexes and references."""
    return await _postgres_schema(url) if "://" in url else _sqlite_schema(url)


_TYPES = {"bigint": "integer", "integer": "integer", "text": "text", "bytea": "bytes", "blob": "bytes"}


def _sqlite_schema(path: str) -> dict[str, Any]:
    schema = {}
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables.fetchall():
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            primary = tuple(name for _, name, *_, key in sorted(columns, key=lambda row: row[5]) if key)
            indexes, unique = {}, set()
            for _, name, is_unique, origin, partial in connection.execute(f"PRAGMA index_list({table})").fetchall():
                of_index = tuple(row[2] for row in connection.execute(f"PRAGMA index_info({name})"))
                if origin == "c":
                    indexes[name] = (of_index, bool(is_unique), bool(partial))
                elif origin == "u":
                    unique.add(of_index)
            references = {
                (row[3], row[2], row[4], row[6].lower())
                for row in connection.execute(f"PRAGMA foreign_key_list({table})")
            }
            schema[table] = {
                # An INTEGER PRIMARY KEY takes no NULL, although the listing says nothing of it.
                "columns": {
                    name: (_TYPES[kind.lower()], bool(not_null) or bool(key))
                    for _, name, kind, not_null, _, key in columns
                },
                "primary": primary,
                "unique": unique,
                "indexes": indexes,
                "references": references,
            }
    return schema


async def _postgres_schema(url: str) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for row in await _query(
        url,
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    ):
        empty = {"columns": {}, "primary": (), "unique": set(), "indexes": {}, "references": set()}
        table = schema.setdefault(row["table_name"], empty)
        table["columns"][row["column_name"]] = (_TYPES[row["data_type"]], row["is_nullable"] == "NO")
    for row in await _query(
        url,
        "SELECT i.relname AS name, t.relname AS table_name, x.indisunique, x.indisprimary, c.oid IS NOT NULL AS made,"
        " x.indpred IS NOT NULL AS partial,"
        " ARRAY(SELECT a.attname::text FROM unnest(x.indkey::int[]) WITH ORDINALITY AS k (number, place)"
        " JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.number ORDER BY k.place) AS columns"
        " FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_class AS t ON t.oid = x.indrelid"
        " LEFT JOIN pg_constraint AS c ON c.conindid = i.oid AND c.contype IN ('p', 'u')"
        " WHERE t.relnamespace = 'public'::regnamespace",
    ):
        table, columns = schema[row["table_name"]], tuple(row["columns"])
        if row["indisprimary"]:
            table["primary"] = columns
        elif row["made"]:
            table["unique"].add(columns)
        else:
            table["indexes"][row["name"]] = (columns, row["indisunique"], row["partial"])
    actions = {"a": "no action", "c": "cascade"}
    for row in await _query(
        url,
        "SELECT conrelid::regclass::text AS table_name, confrelid::regclass::text AS target,"
        " confdeltype::text AS action, a.attname::text AS column_name, b.attname::text AS target_column"
        " FROM pg_constraint JOIN pg_attribute AS a ON a.attrelid = conrelid AND a.attnum = conkey[1]"
        " JOIN pg_attribute AS b ON b.attrelid = confrelid AND b.attnum = confkey[1] WHERE contype = 'f'",
    ):
        reference = (row["column_name"], row["target"], row["target_column"], actions[row["action"]])
        schema[row["table_name"]]["references"].add(reference)
    return schema


@pytest.mark.parametrize("with_environment", [False, True])
async def test_both_databases_have_the_same_schema(
    tmp_path: Path, empty_postgres_database_url: str, with_environment: bool
) -> None:
    run = environment_migrations.run if with_environment else migrations.run
    schemas = []
    for url in (str(tmp_path / "new.db"), empty_postgres_database_url):
        assert len(await run(url)) > 0
        assert await run(url) == ()
        schemas.append(await schema_of(url))
    assert schemas[0] == schemas[1]
    assert ("launches" in schemas[0]) is with_environment


def _without(rows: dict[str, set[tuple[Any, ...]]], like: dict[str, set[tuple[Any, ...]]]) -> dict[str, Any]:
    """The rows of tables that were there before, with the columns that were."""
    kept = {}
    for table, before in like.items():
        columns = {name for row in before for name, _ in row}
        kept[table] = {tuple(pair for pair in row if pair[0] in columns) for row in rows[table]}
    return kept


@pytest.mark.parametrize(("core", "environment"), EARLIER)
async def test_every_earlier_version_comes_up_with_its_rows(
    url: str, tmp_path: Path, core: int, environment: int | None
) -> None:
    before = await bring_up_to(url, core, environment)
    assert before["instances"]
    applied = await environment_migrations.run(url)
    there = {each for each in CORE if each <= core} | {each for each in ENVIRONMENT if each <= (environment or 0)}
    assert [each.version for each in applied] == [each.version for each in SHIPPED if each.version not in there]
    assert await environment_migrations.run(url) == await migrations.run(url) == ()

    fresh = str(tmp_path / "fresh.db")
    await environment_migrations.run(fresh)
    assert await schema_of(url) == await schema_of(fresh)
    assert _without(await rows_of(url), before) == before
    await _serves(url, tmp_path, environment)


async def _serves(url: str, tmp_path: Path, environment: int | None) -> None:
    """What the earlier version left is gone on with."""
    storage = await open_storage(url)
    await storage.open()
    page = await storage.list_instances(InstanceFilter(tenant_id="t", statuses=tuple(InstanceStatus), limit=2))
    assert ([each.instance_id for each in page.instances], page.total_count) == (["asleep", "running"], 3)
    assert await storage.get_checkpoint("running", "step") == b"{}"
    running = await storage.get_instance("running")
    assert running is not None
    assert (running.status, running.checkpoint_id, running.checkpoint_count) == (InstanceStatus.RUNNING, "step", 1)
    assert (running.recovery_attempts, running.last_contact_at_ms) == (2, START_MS + 9)
    progress = await storage.get_progress("running", "call", now_ms=START_MS)
    assert progress.retry is not None
    assert (progress.retry.attempt_number, progress.retry.next_attempt_at_ms) == (2, 0)
    (claimed,) = await storage.claim_launches(
        "new", instance_id=None, limit=9, lease_ms=1, limits=CoreLimits(), now_ms=START_MS
    )
    assert (claimed.instance_id, claimed.input) == ("pending", b"{}")
    signal = (await storage.poll_signals("running", 3, None, now_ms=START_MS)).signal
    assert signal is not None
    assert (signal.signal_type, signal.signal_id, signal.payload) == (SignalType.PAUSE, 2, b"{}")
    await storage.send_signal("running", SignalType.RESUME, b"", now_ms=START_MS)
    await storage.send_signal("running", SignalType.SHUTDOWN, b"", now_ms=START_MS)
    signal = (await storage.poll_signals("running", 3, None, now_ms=START_MS)).signal
    assert signal is not None
    # The id of one that is gone is not given out again.
    assert (signal.signal_type, signal.signal_id) == (SignalType.SHUTDOWN, 4)
    # Its process goes on where it was.
    answer = await storage.checkpoint("running", 3, "step", b"other", now_ms=LATER_MS)
    assert (answer.found, answer.state) == (True, b"{}")
    assert not (await storage.checkpoint("running", 3, "next", b"[]", now_ms=LATER_MS)).found
    running = await storage.get_instance("running")
    assert running is not None
    assert (running.checkpoint_id, running.checkpoint_count, running.recovery_attempts) == ("next", 2, 0)
    assert await storage.delete_finished(finished_before_ms=LATER_MS, limit=9) == 1
    assert await storage.get_checkpoint("done", "step") is None
    await storage.close()

    database = create_database(url, environment_queries())
    await database.open()
    launches = LaunchTable(database)
    assert len(await launches.of_instance("running")) == ((environment or 0) >= ENVIRONMENT[1])
    images = await ImageRegistry(database, tmp_path).list_images("t")
    assert len(images.images) == images.total_count == (environment is not None)
    assert (await launches.database_id() == "0123456789abcdef") is ((environment or 0) >= ENVIRONMENT[2])
    await database.close()


@pytest.mark.parametrize("earlier", [None, (CORE[0], None), (CORE[1], ENVIRONMENT[0])])
async def test_processes_that_start_at_once_take_turns(url: str, earlier: tuple[int, int | None] | None) -> None:
    """Of two environments and a core, started on a new database or on one of an earlier version."""
    before = {} if earlier is None else await bring_up_to(url, *earlier)
    program = (
        "import asyncio, sys; from {package} import migrations;"
        "sys.stdin.readline();"
        "print(*(each.version for each in asyncio.run(migrations.run(sys.argv[1]))))"
    )
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program.format(package=package),
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for package in ("runtara_environment", "runtara_core", "runtara_environment")
    ]
    async with asyncio.timeout(120):
        outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0]
    applied = sorted(int(version) for output, _ in outputs for version in output.split())
    core, environment = earlier or (0, None)
    there = {each for each in CORE if each <= core} | {each for each in ENVIRONMENT if each <= (environment or 0)}
    assert applied == [each.version for each in SHIPPED if each.version not in there]
    assert _without(await rows_of(url), before) == before


async def test_versions_of_another_product_are_left_alone(url: str) -> None:
    await migrations.run(url)
    await _execute(url, "INSERT INTO runtara_migrations VALUES (20990101000001, 'other', 'later', 'sum', 1)")
    assert await migrations.run(url) == ()
    assert [each.version for each in await environment_migrations.run(url)] == ENVIRONMENT
    assert await environment_migrations.run(url) == ()
    (row,) = await _query(url, "SELECT name, checksum FROM runtara_migrations WHERE version = 20990101000001")
    assert (row["name"], row["checksum"]) == ("later", "sum")


@pytest.mark.parametrize("migration_set", ["core", "environment"])
async def test_a_database_of_a_newer_version_is_refused(url: str, migration_set: str) -> None:
    await environment_migrations.run(url)
    later = 20990101000001 if migration_set == "environment" else 999
    await _execute(url, f"INSERT INTO runtara_migrations VALUES ({later}, '{migration_set}', 'later', 'sum', 1)")
    with pytest.raises(ConfigurationError, match=rf"newer version of Runtara.*{migration_set} migration {later}_later"):
        await environment_migrations.run(url)
    if migration_set == "environment":
        assert await migrations.run(url) == ()  # core alone knows nothing of the set


@pytest.mark.parametrize("version", [CORE[0], CORE[-1], ENVIRONMENT[0], ENVIRONMENT[-1]])
async def test_an_applied_file_that_has_changed_is_refused(url: str, version: int) -> None:
    await environment_migrations.run(url)
    await _execute(url, f"UPDATE runtara_migrations SET checksum = 'other' WHERE version = {version}")
    with pytest.raises(ConfigurationError, match=rf"{version:03d}_\w+ was applied with another content"):
        await environment_migrations.run(url)
    if version in ENVIRONMENT:
        assert await migrations.run(url) == ()


async def _execute(url: str, statement: str) -> None:
    if "://" not in url:
        with closing(sqlite3.connect(url)) as connection:
            connection.execute(statement)
            connection.commit()
        return
    server = await asyncpg.connect(url)
    await server.execute(statement)
    await server.close()


async def test_a_core_that_still_works_lets_progress_move_without_a_deadlock(empty_postgres_database_url: str) -> None:
    url = empty_postgres_database_url
    before = [version for version in CORE if version < 8]
    await bring_up_to(url, before[-1], None)
    server, onlooker = await asyncpg.connect(url), await asyncpg.connect(url)
    try:
        # As a verb does it: the row is locked first and written afterwards.
        async with server.transaction():
            await server.fetch("SELECT * FROM instances WHERE instance_id = 'running' FOR UPDATE")
            running = asyncio.create_task(migrations.run(url))
            async with asyncio.timeout(30):
                while not await onlooker.fetchval(
                    "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
                    " AND relation = 'instances'::regclass"
                ):
                    await asyncio.sleep(0.01)
            await server.execute("SET LOCAL lock_timeout = '500ms'")  # before the server looks for deadlocks
            await server.execute("UPDATE instances SET checkpoint_count = 5 WHERE instance_id = 'running'")
        assert [each.version for each in await running] == [version for version in CORE if version >= 8]
        moved = "SELECT checkpoint_count FROM instance_progress WHERE instance_id = 'running'"
        assert await server.fetchval(moved) == 5
    finally:
        await server.close()
        await onlooker.close()


async def test_what_an_older_process_still_starts_is_not_lost(url: str) -> None:
    """It inserts an instance as it always did, into tables that a newer one has changed."""
    await migrations.run(url)
    old = QuerySet.parse(
        "-- name: insert\nINSERT INTO instances"
        " (instance_id, tenant_id, image_id, status, epoch, created_at_ms, wake_at_ms)"
        f" VALUES ('late', 't', 'image', 'pending', 0, {START_MS}, {START_MS});",
        origin="test",
    )
    database = create_database(url, old)
    await database.open()
    await database.run(lambda transaction: transaction.execute("insert"), operation="start")
    await database.close()
    storage = await open_storage(url)
    await storage.open()
    try:
        (claim,) = await storage.claim_launches(
            "owner", instance_id=None, limit=1, lease_ms=1_000, limits=CoreLimits(), now_ms=START_MS
        )
        assert claim.instance_id == "late"
    finally:
        await storage.close()
