"""SQLite: one writer thread, one reader thread, write-ahead log, every commit flushed.

A lone caller's transactions run without the threads (`sqlite_inline`).

Several processes may share a file: writers take turns through SQLite's lock, for which each waits a bounded time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
import time
from typing import ClassVar, TypeVar

from runtara_sdk.errors import ConfigurationError, StorageError

from runtara_core.database.interface import Database, Work, with_builtin_queries
from runtara_core.database.queries import Dialect, QuerySet
from runtara_core.database.sqlite_errors import sqlite_reason
from runtara_core.database.sqlite_inline import InlineWriter
from runtara_core.database.sqlite_worker import SqliteWorker
from runtara_core.database.urls import DatabaseUrl, require_meant_path

T = TypeVar("T")

_OLDEST_SQLITE = (3, 35, 0)
_BUSY_TIMEOUT_MS = 15_000
_ANSWER_DEADLINE_S = 60.0
_OPEN_ATTEMPTS = 50
_OPEN_RETRY_S = 0.1
_WAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024


class SqliteDatabase(Database):
    """An SQLite file (or, for tests, a database in memory)."""

    dialect: ClassVar[Dialect] = Dialect.SQLITE

    def __init__(self, url: DatabaseUrl, queries: QuerySet) -> None:
        self._url = url
        self._queries = with_builtin_queries(queries).for_dialect(self.dialect)
        self._has_opened = False
        self._make_workers()

    def _make_workers(self) -> None:
        self._writer = SqliteWorker(
            lambda: self._connect(read_only=False), self._queries, read_only=False, name="runtara-sqlite-writer"
        )
        self._reader = SqliteWorker(
            lambda: self._connect(read_only=True), self._queries, read_only=True, name="runtara-sqlite-reader"
        )
        self._inline = InlineWriter(self._writer, lambda: self._try_to_connect(read_only=False, inline=True))

    @property
    def location(self) -> str:
        return self._url.location

    @property
    def is_durable(self) -> bool:
        return self._url.path is not None

    async def open(self) -> None:
        if self._writer.is_closed:
            self._make_workers()  # a thread starts only once
        await self._writer.open()
        # A database in memory belongs to its one connection: reads run there, too.
        if self._url.path is not None:
            try:
                await self._reader.open()
            except BaseException:
                await self._writer.close(_ANSWER_DEADLINE_S)
                raise
        self._has_opened = True

    async def close(self) -> None:
        self._has_opened = False
        if self._url.path is not None:
            await self._reader.close(_ANSWER_DEADLINE_S)
        self._inline.close()
        await self._writer.close(_ANSWER_DEADLINE_S)

    async def run(self, work: Work[T], *, operation: str, read_only: bool = False) -> T:
        worker = self._reader if read_only and self._url.path is not None else self._writer
        # A database in memory belongs to its one connection.
        if worker is self._writer and self._url.path is not None and not worker.is_closed:
            outcome = self._inline.run(work, operation) if self._inline.is_turn_of(asyncio.current_task()) else None
            if outcome is not None:
                # Whoever goes on at once must not keep the loop from everybody else.
                await asyncio.sleep(0)
                if outcome.error is not None:
                    raise outcome.error
                done: T = outcome.result
                return done
        answer = worker.submit(work, operation)
        try:
            async with asyncio.timeout(_ANSWER_DEADLINE_S):
                result: T = await answer
        except TimeoutError:
            raise StorageError(f"{operation}: the database did not answer within {_ANSWER_DEADLINE_S:.0f} s") from None
        return result

    def _connect(self, *, read_only: bool) -> sqlite3.Connection:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            oldest = ".".join(map(str, _OLDEST_SQLITE))
            raise ConfigurationError(f"SQLite {sqlite3.sqlite_version} is too old: {oldest} or later is needed")
        for attempt in range(1, _OPEN_ATTEMPTS + 1):
            try:
                return self._try_to_connect(read_only=read_only)
            except OSError as error:
                raise ConfigurationError(
                    f"cannot open {self.location}: {error.strerror}; check the path and its permissions"
                ) from error
            except sqlite3.Error as error:
                reason, retryable = sqlite_reason(error)
                # Two processes that switch a new file to WAL at once: the loser is refused without any waiting.
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or attempt == _OPEN_ATTEMPTS:
                    raise StorageError(
                        f"cannot open {self.location}: {reason}; check the path and its permissions",
                        retryable=retryable,
                    ) from error
                time.sleep(_OPEN_RETRY_S)
        raise AssertionError("unreachable")

    def _try_to_connect(self, *, read_only: bool, inline: bool = False) -> sqlite3.Connection:
        path = self._url.path
        if self._has_opened and (path is None or not path.exists()):
            # A disk that went away, or a database in memory: another connection would find an empty one.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if path is not None:
            require_meant_path(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Inputs, results and secrets are in it; SQLite gives its side files the same rights.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=0 if inline else _BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=not inline,
            cached_statements=256,
        )
        try:
            connection.row_factory = sqlite3.Row
            if not read_only:
                # What is deleted can then be given back to the file system in steps. Only a new file heeds it, and on
                # another one it would need room on the disk.
                if path is None or path.stat().st_size == 0:
                    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_LIMIT_BYTES}")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
        return connection
