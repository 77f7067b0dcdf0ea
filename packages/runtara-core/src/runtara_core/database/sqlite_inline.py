"""Transactions of a program that makes one after the other, run where it stands.

Handing a transaction to another thread and its answer back costs about as much as a flush. A caller that waits for each
transaction before it makes the next has nothing to gain from it, so its transactions run on the event loop's thread, on
a connection of their own, which waits for no lock: while anybody else writes, the writer's thread takes them. So it
does for a while after one that kept the loop for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from runtara_core.database.interface import Work
from runtara_core.database.sqlite_errors import storage_error
from runtara_core.database.sqlite_worker import Outcome, SqliteWorker

_CALLS_IN_A_ROW = 8
"""So many transactions in a row one task has made before its next ones run here."""

_SLOW_SECONDS = 0.01
_CALLS_AFTER_A_SLOW_ONE = 100


class InlineWriter:
    """Runs works on the thread of the event loop.

    Args:
        worker: the writer, which takes what does not run here; its rules of a transaction hold here, too.
        connect: opens the connection, which must fail rather than wait for a lock.
    """

    def __init__(self, worker: SqliteWorker, connect: Callable[[], sqlite3.Connection]) -> None:
        self._worker = worker
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._thread_id = threading.get_ident()
        self._caller: weakref.ref[asyncio.Task[Any]] | None = None
        self._calls_left = _CALLS_IN_A_ROW

    def is_turn_of(self, caller: asyncio.Task[Any] | None) -> bool:
        """Count a call, and tell whether it may run here."""
        if self._caller is None or caller is None or self._caller() is not caller:
            self._caller = None if caller is None else weakref.ref(caller)
            self._calls_left = max(self._calls_left, _CALLS_IN_A_ROW)
            return False
        if self._calls_left > 0:
            self._calls_left -= 1
            return False
        return threading.get_ident() == self._thread_id

    def run(self, work: Work[Any], operation: str) -> Outcome | None:
        """The outcome of a work in a transaction of its own; None, and nothing has happened, when somebody writes.

        Raises `StorageError` when the transaction cannot even be rolled back; the next one gets another connection.
        """
        started_at = time.monotonic()
        try:
            if self._connection is None:
                self._connection = self._connect()
        except (sqlite3.Error, OSError):
            outcome = None
        else:
            try:
                outcome = self._worker.run_alone(self._connection, work, operation)
            except sqlite3.Error as error:
                self.close()
                raise storage_error(error, operation) from error
        if time.monotonic() - started_at > _SLOW_SECONDS:
            self._calls_left = _CALLS_AFTER_A_SLOW_ONE
        return None if outcome is None or _met_a_lock(outcome.error) else outcome

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _met_a_lock(error: BaseException | None) -> bool:
    cause = None if error is None else error.__cause__
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
