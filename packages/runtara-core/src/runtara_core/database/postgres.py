"""PostgreSQL through a pool of asyncpg connections, and one more for statements that run all the time.

Works run at READ COMMITTED and lock the rows that they decide on. After a deadlock or serialization failure, or when
the connection broke before the commit was sent, nothing has happened and the work runs again, a bounded number of
times. When it broke during the commit, the outcome is unknown: only a work that writes nothing runs again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction as ServerTransaction
from runtara_sdk.errors import ConfigurationError, InvalidInputError, StorageError

from runtara_core.database.interface import (
    MISSING_COLUMN,
    Database,
    Row,
    Transaction,
    Value,
    Work,
    with_builtin_queries,
)
from runtara_core.database.postgres_settings import PostgresSettings
from runtara_core.database.postgres_statements import StatementConnection
from runtara_core.database.queries import Dialect, Query, QuerySet
from runtara_core.database.urls import DatabaseUrl

T = TypeVar("T")

_ACQUIRE_TIMEOUT_S = 30.0
_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 10.0
_ATTEMPTS = 5
_RETRY_PAUSE_S = 0.02
_LOCK_TIMEOUT_MS = 15_000
_IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
_SESSION = {
    "application_name": "runtara",
    "lock_timeout": str(_LOCK_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_TIMEOUT_MS),
}

_CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_DISCONNECTS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What the driver raises on a connection that broke in the middle of an answer.
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class PostgresTransaction(Transaction):
    """The transaction that is open on a pooled connection."""

    def __init__(self, connection: PoolConnectionProxy[Any], queries: Mapping[str, Query]) -> None:
        super().__init__(queries)
        self._connection = connection

    async def fetch_one(self, query: str, /, **parameters: Value) -> Row | None:
        text, arguments = self._statement(query, parameters)
        row: Row | None = await self._connection.fetchrow(text, *arguments)
        return row

    async def fetch_all(self, query: str, /, **parameters: Value) -> Sequence[Row]:
        text, arguments = self._statement(query, parameters)
        rows: Sequence[Row] = await self._connection.fetch(text, *arguments)
        return rows

    async def execute(self, query: str, /, **parameters: Value) -> int:
        text, arguments = self._statement(query, parameters)
        status = await self._connection.execute(text, *arguments)
        # The server answers "UPDATE 3", "INSERT 0 1" or, for other statements, a text without a number.
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_script(self, script: str, /) -> None:
        await self._connection.execute(script)

    def _statement(self, name: str, parameters: Mapping[str, Value]) -> tuple[str, list[Value]]:
        query = self._query(name, parameters)
        return query.text, [parameters[parameter] for parameter in query.parameters]


class _CommitInDoubt(Exception):  # noqa: N818 - carries its cause to the retry loop, never leaves this module
    """The connection broke while the commit was under way."""


class StatementFailed(Exception):  # noqa: N818 - an outcome, handled by whoever made the statement
    """A statement of `fetch_at_once` failed or its connection broke; usually nothing of it has happened."""


class PostgresDatabase(Database):
    """A PostgreSQL database."""

    dialect: ClassVar[Dialect] = Dialect.POSTGRES

    def __init__(self, url: DatabaseUrl, queries: QuerySet, settings: PostgresSettings | None = None) -> None:
        self._url = url
        self._queries = with_builtin_queries(queries).for_dialect(self.dialect)
        self._settings = settings or PostgresSettings()
        self._pool: asyncpg.Pool[Any] | None = None
        self._statements: StatementConnection | None = None

    @property
    def location(self) -> str:
        return self._url.location

    async def open(self) -> None:
        try:
            pool = asyncpg.create_pool(
                self._url.url,
                min_size=1,
                max_size=self._settings.pool_size,
                timeout=_CONNECT_TIMEOUT_S,
                command_timeout=self._settings.request_timeout_ms / 1000,
                # Works leave nothing on a session that would have to be reset, which would cost a round trip each.
                reset=_keep_session,
                server_settings=_SESSION,
            )
            self._pool = await pool
            self._statements = StatementConnection(
                self._url.url,
                connect_timeout_s=_CONNECT_TIMEOUT_S,
                command_timeout_s=self._settings.request_timeout_ms / 1000,
                server_settings=_SESSION,
            )
        except (ValueError, asyncpg.ClientConfigurationError) as error:
            raise ConfigurationError(
                f"the database URL of {self.location} is not usable: use postgres://USER:PASSWORD@HOST:PORT/NAME"
            ) from error
        except asyncpg.InvalidCatalogNameError as error:
            # No wrong configuration: it may be created, or restored, a moment later.
            raise StorageError(f"{self.location} does not exist: create it with createdb") from error
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise ConfigurationError(
                f"{self.location} refuses the login: check user and password of the database URL"
            ) from error
        except _DRIVER_ERRORS as error:
            raise StorageError(
                f"cannot connect to {self.location}: {_reason(error)}; is the server running and the address right?"
            ) from error

    async def close(self) -> None:
        statements, self._statements = self._statements, None
        if statements is not None:
            await statements.close()
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await pool.close()
        except _DRIVER_ERRORS:
            pool.terminate()

    async def run(self, work: Work[T], *, operation: str, read_only: bool = False) -> T:
        reconnected = False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._attempt(work, operation, read_only=read_only)
            except _CONFLICTS as error:
                if attempt == _ATTEMPTS:
                    raise _storage_error(operation, error) from error
                await asyncio.sleep(_RETRY_PAUSE_S * attempt * (0.5 + random.random()))  # noqa: S311
            except _CommitInDoubt as doubt:
                if not read_only or reconnected:
                    raise StorageError(
                        f"{operation}: the connection broke during the commit, so the outcome is unknown"
                    ) from doubt.__cause__
                reconnected = True
            except TimeoutError as error:
                raise StorageError(f"{operation}: the database did not answer in time") from error
            except _DISCONNECTS as error:
                if reconnected:
                    raise _storage_error(operation, error) from error
                reconnected = True
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise _storage_error(operation, error) from error
        raise StorageError(f"{operation}: gave up after {_ATTEMPTS} attempts")

    async def fetch_at_once(
        self, query: str, /, *, operation: str, **parameters: Value | Sequence[Value]
    ) -> Sequence[Row]:
        """Run one statement as a transaction of its own: one round trip. Returns its rows, durable.

        Raises `StatementFailed` when it did not succeed, and `StorageError` when the database does not answer. The
        caller sees to it that texts and integers are storable. Statements run one after the other.
        """
        if self._statements is None:
            raise StorageError(f"{operation}: the database is closed", retryable=False)
        statement = self._queries[query]
        try:
            return await self._statements.fetch(statement.text, [parameters[name] for name in statement.parameters])
        except TimeoutError as error:
            raise StorageError(f"{operation}: the database did not answer in time") from error
        except _DRIVER_ERRORS as error:
            raise StatementFailed from error

    async def _attempt(self, work: Work[T], operation: str, *, read_only: bool) -> T:
        if self._pool is None:
            raise StorageError(f"{operation}: the database is closed", retryable=False)
        async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as connection:
            server: ServerTransaction = connection.transaction(readonly=read_only)
            await server.start()
            try:
                result = await work(PostgresTransaction(connection, self._queries))
            except BaseException:
                if not connection.is_closed():
                    await server.rollback()
                raise
            try:
                await server.commit()
            except _DISCONNECTS as error:
                raise _CommitInDoubt from error
            return result


class LentPoolDatabase(PostgresDatabase):
    """A PostgreSQL database through a pool of the caller's, which stays open."""

    def __init__(self, pool: asyncpg.Pool[Any], queries: QuerySet) -> None:
        super().__init__(DatabaseUrl(Dialect.POSTGRES, "", None, "PostgreSQL through the given pool"), queries)
        self._pool = pool

    async def open(self) -> None:
        """The pool is open already."""

    async def close(self) -> None:
        """The pool is its owner's to close."""


async def _keep_session(_connection: Any) -> None:
    """Leave the session as it is."""


def _storage_error(operation: str, error: BaseException) -> StorageError | InvalidInputError:
    if isinstance(error, asyncpg.UntranslatableCharacterError | asyncpg.CharacterNotInRepertoireError):
        return InvalidInputError(f"{operation}: the database cannot store a character of the text")
    return StorageError(f"{operation}: {_reason(error)}", retryable=_is_retryable(error))


def _is_retryable(error: BaseException) -> bool:
    if isinstance(error, asyncpg.UndefinedColumnError):
        return True  # callers wait for this process to be replaced, as for one that is away
    return not isinstance(
        error,
        asyncpg.IntegrityConstraintViolationError
        | asyncpg.SyntaxOrAccessError
        | asyncpg.DataError
        | asyncpg.ProgramLimitExceededError
        | asyncpg.ReadOnlySQLTransactionError,
    )


def _reason(error: BaseException) -> str:
    """What went wrong in words; nothing of the database's own text, which may quote data."""
    match error:
        case TimeoutError():
            return "the database did not answer in time"
        case asyncpg.CannotConnectNowError() | asyncpg.AdminShutdownError() | asyncpg.CrashShutdownError():
            return "the database is starting up or shutting down"
        case asyncpg.TooManyConnectionsError():
            return "the database has no connection left"
        case asyncpg.SerializationError() | asyncpg.DeadlockDetectedError() | asyncpg.LockNotAvailableError():
            return "other transactions hold the rows for too long"
        case asyncpg.DiskFullError():
            return "the database's disk is full"
        case asyncpg.IntegrityConstraintViolationError() | asyncpg.DataError():
            return "a value is not acceptable to the database"
        case asyncpg.InsufficientPrivilegeError():
            return "the database user lacks a privilege"
        case asyncpg.UndefinedColumnError():
            return MISSING_COLUMN
        case asyncpg.ReadOnlySQLTransactionError():
            return "the database is read-only"
        case ConnectionRefusedError():
            return "the connection is refused"
        case OSError() | asyncpg.PostgresConnectionError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return "the connection is broken"
        case _:
            return "the database refused the statement"
