"""What a database offers: one transaction a call, the logic written once for all of them.

A work is an async function over a `Transaction`. It may run more than once (after a deadlock, say), so it changes
nothing outside its transaction, and it awaits nothing but the transaction's methods: SQLite drives it to the end on
its own thread, where nothing else can be awaited.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from runtara_sdk.errors import InvalidInputError

from runtara_core.database.queries import Dialect, Query, QuerySet

T = TypeVar("T")

MISSING_COLUMN = (
    "a newer version of Runtara has changed the tables of the database; replace this process with one of that version"
)
"""The reason of an error when a column is gone that this version knows."""

Value: TypeAlias = "str | bytes | int | float | None"

_INT64_BOUND = 2**63


class Row(Protocol):
    """One row of a result; columns by name."""

    def __getitem__(self, column: str, /) -> Any: ...


class Transaction(ABC):
    """One open transaction. Queries are named; parameters are exactly those that the query mentions."""

    def __init__(self, queries: Mapping[str, Query]) -> None:
        self._queries = queries

    @abstractmethod
    async def fetch_one(self, query: str, /, **parameters: Value) -> Row | None:
        """The first row of the result, or None."""

    @abstractmethod
    async def fetch_all(self, query: str, /, **parameters: Value) -> Sequence[Row]:
        """All rows of the result."""

    @abstractmethod
    async def execute(self, query: str, /, **parameters: Value) -> int:
        """Run a statement; returns the number of rows it changed."""

    @abstractmethod
    async def execute_script(self, script: str, /) -> None:
        """Run several statements separated by semicolons, without parameters (migrations)."""

    def _query(self, name: str, parameters: Mapping[str, Value]) -> Query:
        """The query `name`, after checking that its parameters fit it and the database."""
        query = self._queries[name]
        if parameters.keys() != query.parameter_names:
            expected = ", ".join(sorted(query.parameter_names))
            raise TypeError(f"query {name} takes the parameters {expected}, not {', '.join(sorted(parameters))}")
        for parameter, value in parameters.items():
            if isinstance(value, str):
                _require_storable_text(parameter, value)
            elif isinstance(value, int) and not -_INT64_BOUND <= value < _INT64_BOUND:
                raise InvalidInputError(f"{parameter}: {value} does not fit into 64 bits")
        return query


def _require_storable_text(parameter: str, value: str) -> None:
    # PostgreSQL stores no NUL in text, and UTF-8 has no lone surrogates; SQLite is held to the same.
    if "\0" in value:
        raise InvalidInputError(f"{parameter}: text with a NUL character cannot be stored; remove it")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInputError(f"{parameter}: text with a lone surrogate cannot be stored; remove it") from None


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, T]]


class Database(ABC):
    """A database that runs works in transactions.

    Errors of the driver leave as `StorageError`, which names the operation; whatever a work raises itself passes
    through after the rollback.
    """

    dialect: ClassVar[Dialect]

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the database is, for messages; without credentials."""

    @property
    def is_durable(self) -> bool:
        """Whether rows outlive `close`."""
        return True

    @abstractmethod
    async def open(self) -> None:
        """Connect; also again after `close`.

        Raises `StorageError` or `ConfigurationError` naming the database and the remedy.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what was started and disconnect. Calling again does nothing."""

    @abstractmethod
    async def run(self, work: Work[T], *, operation: str, read_only: bool = False) -> T:
        """Run `work` in one transaction and return its result once that is durable.

        A caller that is cancelled leaves a transaction that was made completely or not at all. When the connection
        breaks during the commit, the outcome is unknown and a retryable `StorageError` says so.

        Args:
            work: the statements; runs again from its start after a serialization failure or deadlock.
            operation: named in errors, e.g. `checkpoint`.
            read_only: the work writes nothing, so it need not queue behind writers.
        """


def with_builtin_queries(queries: QuerySet) -> QuerySet:
    """`queries` and those that migrations need, which every database carries."""
    return queries.merged(QuerySet.load("runtara_core", "sql/migrations.sql"))
