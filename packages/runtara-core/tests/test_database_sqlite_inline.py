"""Transactions that run on the event loop's thread, since their caller makes one after the other."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.database import Database, QuerySet, Transaction, create_database, sqlite_inline
from runtara_sdk.errors import StorageError

QUERIES = QuerySet.parse(
    """
    -- name: create
    CREATE TABLE notes (text TEXT UNIQUE);
    -- name: insert
    INSERT INTO notes (text) VALUES (:text);
    -- name: count
    SELECT COUNT(*) AS total FROM notes;
    """.replace("    ", ""),
    origin="test",
)
HERE = threading.get_ident()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
async def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr(sqlite_inline, "_SLOW_SECONDS", 600.0)  # whatever else the machine does
    database = create_database(f"sqlite:///{path}", QUERIES)
    await database.open()

    async def create(transaction: Transaction) -> None:
        await transaction.execute("create")

    await database.run(create, operation="create")
    yield database
    await database.close()


async def insert(database: Database, text: str) -> int:
    """Insert a note; returns the thread that did it."""

    async def work(transaction: Transaction) -> int:
        await transaction.execute("insert", text=text)
        return threading.get_ident()

    return await database.run(work, operation="insert")


async def count(database: Database) -> int:
    async def work(transaction: Transaction) -> int:
        row = await transaction.fetch_one("count")
        assert row is not None
        return int(row["total"])

    return await database.run(work, operation="count", read_only=True)


async def settle(database: Database) -> None:
    """Make so many calls in a row that the next ones run here."""
    for number in range(20):
        last = await insert(database, f"before {number}")
    assert last == HERE


async def test_calls_in_a_row_come_to_run_where_they_are_made(database: Database) -> None:
    threads = [await insert(database, str(number)) for number in range(30)]
    assert threads[0] != HERE
    assert set(threads[-20:]) == {HERE}
    assert await count(database) == 30


async def test_calls_at_a_time_share_the_thread_and_its_flushes(database: Database) -> None:
    threads = await asyncio.gather(*(insert(database, str(number)) for number in range(30)))
    assert HERE not in threads
    assert await count(database) == 30


async def test_another_caller_begins_with_the_thread(database: Database) -> None:
    await settle(database)
    assert await asyncio.create_task(insert(database, "another")) != HERE


async def test_everybody_else_gets_a_turn(database: Database) -> None:
    await settle(database)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    for number in range(50):
        await insert(database, str(number))
    other.cancel()
    assert turns >= 49


async def test_a_failing_work_leaves_nothing_and_names_its_operation(database: Database) -> None:
    await settle(database)

    async def work(transaction: Transaction) -> None:
        await transaction.execute("insert", text="half")
        await transaction.execute("insert", text="before 0")

    with pytest.raises(StorageError, match="insert: a value is not acceptable"):
        await database.run(work, operation="insert")
    assert await count(database) == 20
    assert await insert(database, "after") == HERE


async def test_a_lock_is_waited_for_without_holding_up_the_loop(database: Database, path: Path) -> None:
    await settle(database)
    other = sqlite3.connect(path, isolation_level=None)
    released = False

    async def release() -> None:
        nonlocal released
        # Readers go on meanwhile, and so does the loop.
        assert await count(database) == 20
        released = True
        other.execute("COMMIT")

    other.execute("BEGIN IMMEDIATE")
    releasing = asyncio.create_task(release())
    assert await insert(database, "late") != HERE
    assert released
    await releasing
    other.close()
    assert await count(database) == 21


async def test_after_a_slow_one_the_thread_takes_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await settle(database)
    monkeypatch.setattr(sqlite_inline, "_SLOW_SECONDS", 0.0)
    assert await insert(database, "slow") == HERE
    monkeypatch.setattr(sqlite_inline, "_SLOW_SECONDS", 600.0)
    threads = [await insert(database, str(number)) for number in range(110)]
    assert HERE not in threads[:100]
    assert threads[-1] == HERE


async def test_it_goes_on_after_closing_and_opening_again(database: Database) -> None:
    await settle(database)
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await insert(database, "closed")
    await database.open()
    assert [await insert(database, f"again {number}") for number in range(20)][-1] == HERE
