"""A connection that fails where nothing can fail, as on a disk that goes away: callers hear of it, and work goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from runtara_core.database import Database, QuerySet, Transaction, create_database, sqlite_inline
from runtara_sdk.errors import ConfigurationError, StorageError

QUERIES = QuerySet.parse(
    """
    -- name: create
    CREATE TABLE notes (text TEXT UNIQUE);
    -- name: insert
    INSERT INTO notes (text) VALUES (:text);
    -- name: all
    SELECT text FROM notes ORDER BY text;
    """.replace("    ", ""),
    origin="test",
)
DEADLINE_SECONDS = 60.0


class FailingConnection(sqlite3.Connection):
    """Fails at the statements that `failing` names, each once."""

    failing: ClassVar[list[str]] = []

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement in self.failing:
            self.failing.remove(statement)
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(statement, *arguments)


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr(sqlite_inline, "_SLOW_SECONDS", 600.0)  # whatever else the machine does
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **more: connect(*given, **more, factory=FailingConnection))
    monkeypatch.setattr(FailingConnection, "failing", [])
    database = create_database(f"sqlite:///{tmp_path}/notes.db", QUERIES)
    await database.open()
    await database.run(lambda transaction: transaction.execute("create"), operation="create")
    yield database
    await database.close()


async def insert(database: Database, text: str) -> None:
    async def work(transaction: Transaction) -> None:
        await transaction.execute("insert", text=text)

    async with asyncio.timeout(DEADLINE_SECONDS):
        await database.run(work, operation="insert")


async def notes(database: Database) -> list[str]:
    async with asyncio.timeout(DEADLINE_SECONDS):
        rows = await database.run(
            lambda transaction: transaction.fetch_all("all"), operation="read the notes", read_only=True
        )
    return [row["text"] for row in rows]


async def test_a_commit_and_its_rollback_fail(database: Database) -> None:
    FailingConnection.failing += ["COMMIT", "ROLLBACK"]
    with pytest.raises(StorageError, match="insert: "):
        await insert(database, "lost")
    await insert(database, "kept")
    assert await notes(database) == ["kept"]


async def test_a_whole_batch_hears_of_it(database: Database) -> None:
    FailingConnection.failing += ["COMMIT", "ROLLBACK"]
    outcomes = await asyncio.gather(*(insert(database, str(number)) for number in range(5)), return_exceptions=True)
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, StorageError)]
    assert refused
    assert await notes(database) == [str(number) for number in range(5) if number not in refused]


async def test_a_file_that_went_away_is_not_made_anew(database: Database, tmp_path: Path) -> None:
    FailingConnection.failing += ["COMMIT", "ROLLBACK"]
    with pytest.raises(StorageError, match="insert: "):
        await insert(database, "lost")
    for path in tmp_path.glob("notes.db*"):
        path.unlink()
    with pytest.raises(ConfigurationError, match="cannot open"):
        await insert(database, "nowhere")
    assert not (tmp_path / "notes.db").exists()


async def test_a_read_cannot_be_ended(database: Database) -> None:
    FailingConnection.failing += ["ROLLBACK"]
    with pytest.raises(StorageError, match="read the notes: "):
        await notes(database)
    await insert(database, "kept")
    assert await notes(database) == ["kept"]


async def test_a_lone_caller_meets_it_on_the_loop(database: Database) -> None:
    kept = [f"{number:02}" for number in range(30)]
    for text in kept:
        await insert(database, text)
    FailingConnection.failing += ["COMMIT", "ROLLBACK"]
    with pytest.raises(StorageError, match="insert: "):
        await insert(database, "lost")
    for text in ("again", "and again"):
        await insert(database, text)
    assert await notes(database) == [*kept, "again", "and again"]
