from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from runtara_core.database import Database, QuerySet, Transaction, create_database
from runtara_core.storages import open_storage
from runtara_core.testing.postgres import create_database as create_server_database
from runtara_core.testing.postgres import replace_database, running_postgres
from runtara_sdk.errors import ConfigurationError, StorageError

QUERIES = QuerySet.parse(
    "\n".join(
        f"-- name: {name}\n{body};"
        for name, body in {
            "create": "CREATE TABLE notes (id BIGINT PRIMARY KEY, text TEXT CHECK (text <> 'never'))",
            "insert": "INSERT INTO notes (id, text) VALUES (:id, :text)",
            "update": "UPDATE notes SET text = :text WHERE id = :id",
            "count": "SELECT COUNT(*) AS total FROM notes",
            "wait": "SELECT pg_sleep(30)",
        }.items()
    ),
    origin="test",
)


async def _count(transaction: Transaction) -> int:
    row = await transaction.fetch_one("count")
    assert row is not None
    return int(row["total"])


async def _wait(transaction: Transaction) -> None:
    await transaction.fetch_one("wait")


async def _insert(transaction: Transaction, number: int, text: str = "") -> int:
    return await transaction.execute("insert", id=number, text=text)


async def _create(transaction: Transaction) -> None:
    await transaction.execute("create")


@pytest.fixture
async def database(empty_postgres_database_url: str) -> AsyncIterator[Database]:
    database = create_database(empty_postgres_database_url, QUERIES)
    await database.open()
    await database.run(_create, operation="create")
    yield database
    await database.close()


async def test_a_failing_work_is_rolled_back(database: Database) -> None:
    async def half_done(transaction: Transaction) -> None:
        await _insert(transaction, 1)
        raise LookupError("changed my mind")

    with pytest.raises(LookupError):
        await database.run(half_done, operation="half")
    with pytest.raises(StorageError) as refusal:
        await database.run(lambda tx: _insert(tx, 1, "never"), operation="insert")
    assert refusal.value.message == "insert: a value is not acceptable to the database"
    assert not refusal.value.retryable
    assert await database.run(_count, operation="count", read_only=True) == 0


async def test_a_newer_version_that_changed_the_tables_is_named(database: Database) -> None:
    await database.run(lambda tx: _insert(tx, 1), operation="insert")
    await database.run(
        lambda tx: tx.execute_script("ALTER TABLE notes RENAME COLUMN text TO content"), operation="migrate"
    )
    with pytest.raises(StorageError, match="a newer version of Runtara has changed the tables") as refusal:
        await database.run(lambda tx: _insert(tx, 2), operation="insert")
    assert refusal.value.retryable


async def test_the_variables_bound_connections_and_statements(
    empty_postgres_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTARA_DB_POOL_SIZE", "2")
    monkeypatch.setenv("RUNTARA_DB_REQUEST_TIMEOUT_MS", "200")
    database = create_database(empty_postgres_database_url, QUERIES)
    await database.open()
    try:
        with pytest.raises(StorageError, match="wait: the database did not answer in time") as refusal:
            await database.run(_wait, operation="wait")
        assert refusal.value.retryable
        await database.run(_create, operation="create")
        await asyncio.gather(*(database.run(_count, operation="count") for _ in range(20)))
        observer = await asyncpg.connect(empty_postgres_database_url)
        open_now = await observer.fetchval(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'runtara' AND datname = current_database()"
        )
        await observer.close()
        assert open_now <= 2
    finally:
        await database.close()
    monkeypatch.setenv("RUNTARA_DB_POOL_SIZE", "none")
    with pytest.raises(ConfigurationError, match="RUNTARA_DB_POOL_SIZE"):
        create_database(empty_postgres_database_url, QUERIES)


async def test_reads_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError, match="read-only"):
        await database.run(lambda tx: _insert(tx, 1), operation="insert", read_only=True)


async def test_a_deadlock_is_tried_again(database: Database) -> None:
    for number in (1, 2):
        await database.run(lambda tx, n=number: _insert(tx, n), operation="insert")
    both_hold_one = asyncio.Barrier(2)
    runs = 0

    async def update_both(transaction: Transaction, first: int, second: int) -> None:
        nonlocal runs
        runs += 1
        await transaction.execute("update", id=first, text=f"{first}")
        if runs <= 2:
            await both_hold_one.wait()
        await transaction.execute("update", id=second, text=f"{second}")

    await asyncio.gather(
        database.run(lambda tx: update_both(tx, 1, 2), operation="update"),
        database.run(lambda tx: update_both(tx, 2, 1), operation="update"),
    )
    assert runs == 3


async def test_a_cancelled_caller_is_rolled_back_and_its_connection_goes_on(database: Database) -> None:
    for number in range(40):
        inserted = asyncio.Event()

        async def insert_and_wait(transaction: Transaction, inserted: asyncio.Event = inserted) -> None:
            await _insert(transaction, 1)
            inserted.set()
            await asyncio.Event().wait()

        call = asyncio.ensure_future(database.run(insert_and_wait, operation="insert"))
        await inserted.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await database.run(_count, operation="count") == 0, number


async def test_a_broken_connection_is_replaced(database: Database, empty_postgres_database_url: str) -> None:
    runs = 0

    async def lose_the_connection(transaction: Transaction) -> int:
        nonlocal runs
        runs += 1
        await _insert(transaction, runs)
        if runs == 1:
            other = await asyncpg.connect(empty_postgres_database_url)
            await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
            await other.close()
        return await _count(transaction)

    # Nothing had been committed, so the work was free to run again.
    assert await database.run(lose_the_connection, operation="count") == 1
    assert runs == 2


async def test_a_server_that_crashes_is_back_without_a_restart_of_ours(postgres_url: str) -> None:
    with running_postgres() as server:
        database = create_database(await create_server_database(server.url), QUERIES)
        await database.open()
        await database.run(_create, operation="create")
        await database.run(lambda tx: _insert(tx, 1), operation="insert")
        await asyncio.to_thread(server.kill)
        for read_only in (True, False):
            with pytest.raises(StorageError) as refusal:
                await database.run(_count, operation="count", read_only=read_only)
            assert refusal.value.retryable
        await asyncio.to_thread(server.start)
        assert await database.run(_count, operation="count", read_only=True) == 1
        await database.run(lambda tx: _insert(tx, 2), operation="insert")
        await database.close()


async def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    storage = await open_storage("postgres://me:secret@127.0.0.1:1/core")
    with pytest.raises(StorageError) as refusal:
        await storage.open()
    assert "cannot connect to PostgreSQL core at 127.0.0.1:1: the connection is refused" in refusal.value.message
    assert "secret" not in refusal.value.message


async def test_a_database_that_does_not_exist_is_named(postgres_url: str) -> None:
    storage = await open_storage(replace_database(postgres_url, "no_such_database"))
    with pytest.raises(StorageError, match=r"PostgreSQL no_such_database at .* does not exist: create it"):
        await storage.open()


async def test_a_closed_database_says_so(database: Database) -> None:
    await database.close()
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await database.run(_count, operation="count")
