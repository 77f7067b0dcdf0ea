from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.database import Database, DatabaseUrl, QuerySet, Transaction, create_database
from runtara_core.database.sqlite import SqliteDatabase
from runtara_sdk.errors import ConfigurationError, InvalidInputError, StorageError

QUERIES = QuerySet.parse(
    "\n".join(
        f"-- name: {name}\n{body};"
        for name, body in {
            "create": "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE CHECK (text <> 'never'))",
            "insert": "INSERT INTO notes (text) VALUES (:text)",
            "count": "SELECT COUNT(*) AS total FROM notes",
            "all": "SELECT text FROM notes ORDER BY id",
            "nonsense": "SELECT nothing FROM nowhere",
        }.items()
    ),
    origin="test",
)


async def _create(transaction: Transaction) -> None:
    await transaction.execute("create")


async def _count(transaction: Transaction) -> int:
    row = await transaction.fetch_one("count")
    assert row is not None
    return int(row["total"])


async def _count_texts(transaction: Transaction) -> int:
    return len(await transaction.fetch_all("all"))


async def _insert(transaction: Transaction, text: str) -> int:
    return await transaction.execute("insert", text=text)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = create_database(f"sqlite:///{tmp_path}/deep/er/notes.db", QUERIES)
    await database.open()
    await database.run(_create, operation="create")
    yield database
    await database.close()


async def test_a_file_is_opened_durably_and_its_folders_are_made(database: Database, tmp_path: Path) -> None:
    assert (tmp_path / "deep" / "er" / "notes.db").exists()
    assert (tmp_path / "deep" / "er" / "notes.db-wal").exists()


async def test_a_new_file_and_its_side_files_are_their_owners_alone(tmp_path: Path) -> None:
    database = create_database(f"sqlite:///{tmp_path}/private.db", QUERIES)
    await database.open()
    rights = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("private.db*")}
    await database.close()
    assert len(rights) > 1
    assert set(rights.values()) == {0o600}


async def test_a_write_is_seen_by_the_next_read(database: Database) -> None:
    for number in range(20):
        await database.run(lambda tx, n=number: _insert(tx, f"{n}"), operation="insert")
        assert await database.run(_count, operation="count", read_only=True) == number + 1


async def test_a_failing_work_takes_nothing_of_its_batch_with_it(database: Database) -> None:
    async def half_done(transaction: Transaction) -> None:
        await _insert(transaction, "half")
        raise LookupError("changed my mind")

    results = await asyncio.gather(
        *(database.run(lambda tx, n=number: _insert(tx, f"{n}"), operation="insert") for number in range(5)),
        database.run(half_done, operation="half"),
        database.run(lambda tx: _insert(tx, "never"), operation="refused"),
        database.run(lambda tx: _insert(tx, "last"), operation="insert"),
        return_exceptions=True,
    )
    assert results[:5] == [1] * 5
    assert isinstance(results[5], LookupError)
    assert isinstance(results[6], StorageError)
    assert "refused: " in results[6].message
    assert not results[6].retryable
    assert results[7] == 1
    rows = await database.run(lambda tx: tx.fetch_all("all"), operation="all", read_only=True)
    assert [row["text"] for row in rows] == ["0", "1", "2", "3", "4", "last"]


async def test_works_queued_during_a_commit_share_the_next_one(tmp_path: Path) -> None:
    database = create_database(str(tmp_path / "notes.db"), QUERIES)
    await database.open()
    await database.run(_create, operation="create")
    entered, go_on = threading.Event(), threading.Event()

    async def hold(transaction: Transaction) -> None:
        entered.set()
        go_on.wait(10)

    holding = asyncio.ensure_future(database.run(hold, operation="hold"))
    await asyncio.to_thread(entered.wait, 10)
    seen: list[int] = []

    async def insert_and_look(transaction: Transaction, text: str) -> None:
        await _insert(transaction, text)
        # What another connection sees is what has been committed.
        with sqlite3.connect(tmp_path / "notes.db") as other:
            seen.append(other.execute("SELECT COUNT(*) FROM notes").fetchone()[0])
        other.close()

    works = [
        asyncio.ensure_future(database.run(lambda tx, n=n: insert_and_look(tx, f"{n}"), operation="insert"))
        for n in range(10)
    ]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(holding, *works)
    assert seen == [0] * 10
    assert await database.run(_count, operation="count", read_only=True) == 10
    await database.close()


async def test_a_cancelled_caller_does_not_disturb_the_others(database: Database) -> None:
    calls = [
        asyncio.ensure_future(database.run(lambda tx, n=n: _insert(tx, f"{n}"), operation="insert")) for n in range(10)
    ]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert list(results[1::2]) == [1] * 5
    assert await database.run(_count, operation="count") >= 5


async def test_reads_cannot_write(database: Database) -> None:
    with pytest.raises(StorageError):
        await database.run(lambda tx: _insert(tx, "x"), operation="insert", read_only=True)


async def test_a_newer_version_that_changed_the_tables_is_named(database: Database) -> None:
    await database.run(
        lambda tx: tx.execute_script("ALTER TABLE notes RENAME COLUMN text TO content;"), operation="migrate"
    )
    for work in (_count_texts, lambda tx: _insert(tx, "a")):
        with pytest.raises(StorageError, match="a newer version of Runtara has changed the tables") as refusal:
            await database.run(work, operation="old")
        assert refusal.value.retryable


async def test_errors_name_the_operation_and_nothing_of_the_database(database: Database) -> None:
    with pytest.raises(StorageError) as caught:
        await database.run(lambda tx: tx.fetch_all("nonsense"), operation="list_notes")
    assert caught.value.message == "list_notes: the database refused the statement"


async def test_wrong_parameters_are_a_programming_error(database: Database) -> None:
    with pytest.raises(TypeError, match="query insert takes the parameters text"):
        await database.run(lambda tx: tx.execute("insert", wrong="x"), operation="insert")
    for text in ("nul\0", "lone \ud800"):
        with pytest.raises(InvalidInputError, match="text"):
            await database.run(lambda tx, text=text: _insert(tx, text), operation="insert")


async def test_a_work_that_awaits_something_else_is_refused(database: Database) -> None:
    async def wanders_off(transaction: Transaction) -> None:
        await _insert(transaction, "x")
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaited something other"):
        await database.run(wanders_off, operation="wander")
    assert await database.run(_count, operation="count") == 0


async def test_a_closed_database_says_so(database: Database) -> None:
    await database.close()
    await database.close()
    with pytest.raises(StorageError, match="closed"):
        await database.run(_count, operation="count")


async def test_closing_finishes_what_was_queued(tmp_path: Path) -> None:
    database = create_database(str(tmp_path / "notes.db"), QUERIES)
    await database.open()
    await database.run(_create, operation="create")
    works = [
        asyncio.ensure_future(database.run(lambda tx, n=n: _insert(tx, f"{n}"), operation="insert")) for n in range(50)
    ]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*works) == [1] * 50


async def test_a_locked_file_is_waited_for(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "deep" / "er" / "notes.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    insert = asyncio.ensure_future(database.run(lambda tx: _insert(tx, "x"), operation="insert"))
    # Readers are never in a writer's way.
    assert await database.run(_count, operation="count", read_only=True) == 0
    assert not insert.done()
    other.execute("COMMIT")
    assert await insert == 1
    other.close()


async def test_several_processes_share_a_file(database: Database, tmp_path: Path) -> None:
    program = f"""
import asyncio
from runtara_core.database import QuerySet, create_database
queries = QuerySet.parse("-- name: insert\\nINSERT INTO notes (text) VALUES (:text)", origin="test")
async def main():
    database = create_database({str(tmp_path / "deep" / "er" / "notes.db")!r}, queries)
    await database.open()
    for number in range(30):
        await database.run(lambda tx: tx.execute("insert", text=f"other-{{number}}"), operation="insert")
    await database.close()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stderr=subprocess.PIPE)
    for number in range(30):
        await database.run(lambda tx, n=number: _insert(tx, f"mine-{n}"), operation="insert")
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, errors.decode()
    assert await database.run(_count, operation="count", read_only=True) == 60


async def test_what_is_not_a_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"this is a letter, not a database" * 200)
    database = create_database(str(path), QUERIES)
    with pytest.raises(StorageError, match=r"cannot open SQLite file .*notes\.db: the file is not an SQLite database"):
        await database.open()
    await database.close()


async def test_a_path_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = create_database(str(tmp_path / "file" / "notes.db"), QUERIES)
    with pytest.raises(ConfigurationError, match=r"cannot open SQLite file .*check the path"):
        await database.open()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///relative/core.db", "relative/core.db"),
        ("sqlite:////absolute/core.db", "/absolute/core.db"),
        ("sqlite:///core.db?mode=rwc", "core.db"),
        ("sqlite:///with%20space.db", "with space.db"),
        ("sqlite:relative/core.db", "relative/core.db"),
        ("sqlite:/absolute/core.db?mode=rwc", "/absolute/core.db"),
        ("core.db", "core.db"),
        ("/absolute/core.db", "/absolute/core.db"),
    ],
)
def test_urls_name_sqlite_files(url: str, path: str) -> None:
    assert DatabaseUrl.parse(url).path == Path(path)


@pytest.mark.parametrize(
    "url", ["", "sqlite:", "sqlite://", "sqlite:///", "sqlite:///folder/", "mysql://host/name", "file:core.db"]
)
def test_unusable_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="use postgres://"):
        DatabaseUrl.parse(url)


@pytest.mark.parametrize(
    "url", ["postgres://me:secret@db.example:5433/core", "postgresql://me:secret@db.example:5433/core"]
)
def test_the_location_of_a_server_hides_the_credentials(url: str) -> None:
    assert DatabaseUrl.parse(url).location == "PostgreSQL core at db.example:5433"


async def test_a_database_in_memory_needs_no_file() -> None:
    database = create_database("sqlite://:memory:", QUERIES)
    assert isinstance(database, SqliteDatabase)
    await database.open()
    await database.run(_create, operation="create")
    assert await database.run(_count, operation="count", read_only=True) == 0
    await database.close()


async def test_an_absolute_path_with_one_stroke_too_few_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    database = create_database(f"sqlite://{tmp_path}/notes.db", QUERIES)
    with pytest.raises(ConfigurationError, match=f"write sqlite:///{tmp_path}/notes.db"):
        await database.open()
    assert list((tmp_path / "work").iterdir()) == []
