"""One list of migrations for a database that core and environment share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtara_core import migrations as core_migrations
from runtara_core.database import Database

if TYPE_CHECKING:
    import asyncpg

ENVIRONMENT_MIGRATIONS = core_migrations.MigrationSet("environment", "runtara_environment", "migrations")


async def run(database: str | Database | asyncpg.Pool[Any]) -> tuple[core_migrations.AppliedMigration, ...]:
    """Apply what is missing of core's and the environment's migrations; running again does nothing.

    `database` is a URL, an open database or an asyncpg pool. Raises `ConfigurationError` or `StorageError`; then
    nothing was applied.
    """
    return await core_migrations.run(database, [ENVIRONMENT_MIGRATIONS])
