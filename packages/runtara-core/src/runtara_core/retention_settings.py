"""Settings of retention, which daemons and programs without one share; these never load what a daemon needs."""

from __future__ import annotations

from dataclasses import dataclass

from runtara_sdk.settings import EnvironmentReader


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """When finished instances are removed.

    Attributes:
        enabled: whether they are at all (RUNTARA_DB_CLEANUP_ENABLED).
        max_age_days: how long they stay after their end (RUNTARA_DB_CLEANUP_MAX_AGE_DAYS).
        poll_interval_seconds: from one pass to the next; the first is at the start
            (RUNTARA_DB_CLEANUP_POLL_INTERVAL_SECS).
        batch_size: most instances of one transaction (RUNTARA_DB_CLEANUP_BATCH_SIZE).
    """

    enabled: bool = True
    max_age_days: int = 3
    poll_interval_seconds: int = 3_600
    batch_size: int = 100

    @classmethod
    def from_environment(cls, reader: EnvironmentReader) -> RetentionSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        return cls(
            enabled=reader.boolean("RUNTARA_DB_CLEANUP_ENABLED", default=True),
            max_age_days=reader.integer("RUNTARA_DB_CLEANUP_MAX_AGE_DAYS", 3, minimum=1, maximum=36_500),
            poll_interval_seconds=reader.integer(
                "RUNTARA_DB_CLEANUP_POLL_INTERVAL_SECS", 3_600, minimum=1, maximum=31_536_000
            ),
            batch_size=reader.integer("RUNTARA_DB_CLEANUP_BATCH_SIZE", 100, minimum=1, maximum=1_000),
        )
