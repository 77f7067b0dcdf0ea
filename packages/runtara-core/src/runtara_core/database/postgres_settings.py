"""How a process uses a PostgreSQL server; the one place that knows the names of these variables."""

from __future__ import annotations

from dataclasses import dataclass

from runtara_sdk.settings import EnvironmentReader


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """Bounds of the connections of one process to one database.

    Attributes:
        pool_size: most connections for transactions (RUNTARA_DB_POOL_SIZE); one more carries checkpoints. They are
            opened when they are needed. A server accepts 100 in all unless it is told otherwise, of every process that
            uses it.
        request_timeout_ms: longest wait for one statement (RUNTARA_DB_REQUEST_TIMEOUT_MS); after it the call fails with
            a retryable error.
    """

    pool_size: int = 16
    request_timeout_ms: int = 30_000

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> PostgresSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            pool_size=reader.integer("RUNTARA_DB_POOL_SIZE", 16, minimum=1, maximum=1_000),
            request_timeout_ms=reader.integer("RUNTARA_DB_REQUEST_TIMEOUT_MS", 30_000, minimum=100, maximum=600_000),
        )
