"""The schema as the sum of numbered files: `await run(database_url)` brings a database up to date.

`await run_postgres(pool)` does it through an asyncpg pool of the caller's.
"""

from runtara_core.migrations.runner import CORE_MIGRATIONS, AppliedMigration, MigrationSet, run, run_postgres

__all__ = ["CORE_MIGRATIONS", "AppliedMigration", "MigrationSet", "run", "run_postgres"]
