"""A thread that owns one SQLite connection and drives works on it.

Writes commit in natural batches: whatever was queued while the last commit was being flushed runs in the next
transaction, each work inside a savepoint of its own, and callers are answered after the one COMMIT. A work that fails
is rolled back to its savepoint and gets its own error; the others of its batch are not touched. Nothing waits for a
batch to fill, so a lone caller pays for one flush.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtara_sdk.errors import StorageError

from runtara_core.database.interface import Row, Transaction, Value, Work
from runtara_core.database.queries import Query
from runtara_core.database.sqlite_errors import storage_error

_MAX_BATCH = 256
_MAX_QUEUED = 10_000
_MAX_BATCH_BYTES = 16 * 1024 * 1024
_MAX_UNDELIVERED_BATCHES = 2
_DELIVERY_PATIENCE_S = 5.0


class SqliteTransaction(Transaction):
    """The transaction that is open on a worker's connection; its methods never suspend."""

    def __init__(self, connection: sqlite3.Connection, queries: Mapping[str, Query]) -> None:
        super().__init__(queries)
        self._connection = connection

    async def fetch_one(self, query: str, /, **parameters: Value) -> Row | None:
        rows = self._rows(query, parameters)
        return rows[0] if rows else None

    async def fetch_all(self, query: str, /, **parameters: Value) -> Sequence[Row]:
        return self._rows(query, parameters)

    async def execute(self, query: str, /, **parameters: Value) -> int:
        return self._connection.execute(self._query(query, parameters).text, parameters).rowcount

    async def execute_script(self, script: str, /) -> None:
        # The driver's own executescript would commit the open transaction first.
        statement = ""
        for part in script.split(";"):
            statement += f"{part};"
            # Not complete: the semicolon belongs to a string, a comment or a trigger.
            if sqlite3.complete_statement(statement):
                self._connection.execute(statement)
                statement = ""
        remainder = statement.removesuffix(";").strip()
        if remainder:
            self._connection.execute(remainder)

    def _rows(self, query: str, parameters: Mapping[str, Value]) -> list[sqlite3.Row]:
        # All rows are taken at once: a cursor left open would hold back the write-ahead log.
        return self._connection.execute(self._query(query, parameters).text, parameters).fetchall()


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    operation: str
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


@dataclass(slots=True)
class Outcome:
    """What came of a work."""

    job: _Job
    result: Any = None
    error: BaseException | None = None


class SqliteWorker:
    """One thread, one connection, one queue of works.

    Args:
        connect: opens the connection; called on the thread.
        queries: what works may run.
        read_only: each work gets a snapshot of its own instead of a place in a batch.
        name: of the thread.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        queries: Mapping[str, Query],
        *,
        read_only: bool,
        name: str,
    ) -> None:
        self._connect = connect
        self._queries = queries
        self._read_only = read_only
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # Results wait here for their callers' loop, which may be slower than this thread.
        self._deliverable = threading.Semaphore(_MAX_UNDELIVERED_BATCHES)
        self._accepting = threading.Lock()
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        # A daemon thread: a program that ends without closing must not hang on it.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._opened: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more works."""
        return self._closed

    async def open(self) -> None:
        """Start the thread and connect. Raises what `connect` raised."""
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.create_future()
        self._thread.start()
        await self._opened

    async def close(self, timeout_s: float) -> None:
        """Finish the queued works, disconnect and end the thread."""
        with self._accepting:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, timeout_s)

    def submit(self, work: Work[Any], operation: str) -> asyncio.Future[Any]:
        """Queue a work; the future resolves once its transaction is committed. If cancelled before, it is skipped."""
        loop = asyncio.get_running_loop()
        with self._accepting:
            if self._closed:
                raise StorageError(f"{operation}: the database is closed", retryable=False)
            if self._jobs.qsize() >= _MAX_QUEUED:
                raise StorageError(f"{operation}: {_MAX_QUEUED} transactions are queued already; try again later")
            job = _Job(work, operation, loop.create_future(), loop)
            self._jobs.put(job)
        return job.future

    def run_alone(self, connection: sqlite3.Connection, work: Work[Any], operation: str) -> Outcome:
        """Run one work on a connection of the calling thread's, as a batch of its own.

        Raises what kept it from being rolled back: such a connection is of no more use.
        """
        loop = asyncio.get_running_loop()
        return self._run_batch(connection, [_Job(work, operation, loop.create_future(), loop)])[0]

    def _serve(self) -> None:
        try:
            self._connection = self._connect()
        except BaseException as error:  # noqa: BLE001 - handed to the opener
            self._closed = True
            self._announce(error)
            return
        self._announce(None)
        try:
            while True:
                batch, last = self._next_batch()
                while batch:
                    outcomes = self._run(batch)
                    self._deliver(outcomes)
                    batch = batch[len(outcomes) :]
                    del outcomes
                if last:
                    return
                # The loop must not keep the answered callers' data alive while it waits.
                del batch
        finally:
            self._disconnect()

    def _run(self, batch: Sequence[_Job]) -> list[Outcome]:
        run = self._run_reads if self._read_only else self._run_batch
        try:
            if self._connection is None:
                self._connection = self._connect()
            return run(self._connection, batch)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it meets
            # A transaction that cannot even be rolled back: the next batch gets another connection.
            self._disconnect()
            return [Outcome(job, error=storage_error(error, job.operation)) for job in batch]

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _announce(self, error: BaseException | None) -> None:
        opened, loop = self._opened, self._loop
        assert opened is not None  # noqa: S101 - set before the thread starts
        assert loop is not None  # noqa: S101
        _call(loop, _resolve, opened, None, error)

    def _next_batch(self) -> tuple[list[_Job], bool]:
        batch: list[_Job] = []
        job = self._jobs.get()
        while True:
            if job is None:
                return batch, True
            if not job.future.cancelled():
                batch.append(job)
            if len(batch) >= _MAX_BATCH:
                return batch, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, False

    def _run_batch(self, connection: sqlite3.Connection, batch: Sequence[_Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            size = 0
            for job in batch:
                outcome = self._run_isolated(connection, job, alone=len(batch) == 1)
                outcomes.append(outcome)
                size += _size(outcome.result)
                if size > _MAX_BATCH_BYTES:
                    break
            if connection.in_transaction:
                connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - every caller of the batch has to hear of it
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # What had failed on its own keeps its error; nothing else was committed.
            failed = {id(outcome.job): outcome for outcome in outcomes if outcome.error is not None}
            return [failed.get(id(job)) or Outcome(job, error=storage_error(error, job.operation)) for job in batch]
        return outcomes

    def _run_isolated(self, connection: sqlite3.Connection, job: _Job, *, alone: bool) -> Outcome:
        if not alone:
            connection.execute("SAVEPOINT work")
        try:
            result = _drive(job.work(SqliteTransaction(connection, self._queries)))
        except BaseException as error:
            if not connection.in_transaction:
                # Some errors (a full disk) make SQLite roll the whole transaction back by itself.
                raise
            if alone:
                connection.execute("ROLLBACK")
            else:
                connection.execute("ROLLBACK TO work")
                connection.execute("RELEASE work")
            return Outcome(job, error=storage_error(error, job.operation))
        if not alone:
            connection.execute("RELEASE work")
        return Outcome(job, result=result)

    def _run_reads(self, connection: sqlite3.Connection, batch: Sequence[_Job]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        size = 0
        for job in batch:
            try:
                connection.execute("BEGIN")
                outcome = Outcome(job, result=_drive(job.work(SqliteTransaction(connection, self._queries))))
            except BaseException as error:  # noqa: BLE001 - handed to the caller
                outcome = Outcome(job, error=storage_error(error, job.operation))
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            outcomes.append(outcome)
            size += _size(outcome.result)
            if size > _MAX_BATCH_BYTES:
                break
        return outcomes

    def _deliver(self, outcomes: Sequence[Outcome]) -> None:
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            by_loop[outcome.job.loop].append(outcome)
        for loop, answered in by_loop.items():
            # A loop that stands still for long must not hold up the others.
            counted = self._deliverable.acquire(timeout=_DELIVERY_PATIENCE_S)
            if not _call(loop, self._resolve_all, answered, counted) and counted:
                self._deliverable.release()

    def _resolve_all(self, outcomes: Sequence[Outcome], counted: bool) -> None:  # noqa: FBT001
        if counted:
            self._deliverable.release()
        for outcome in outcomes:
            _resolve(outcome.job.future, outcome.result, outcome.error)


def _size(result: Any) -> int:
    """Bytes of a result, roughly: only states can be large."""
    state = result if isinstance(result, bytes) else getattr(result, "state", None)
    return len(state) if isinstance(state, bytes) else 0


def _drive(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends to its end."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value
    work.close()
    raise RuntimeError("a transaction's work awaited something other than its transaction")


def _resolve(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> bool:
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        # The loop has been closed: nobody waits for the answer any more.
        return False
    return True
