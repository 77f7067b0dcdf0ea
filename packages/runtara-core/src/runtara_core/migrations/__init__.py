"""The schema as the sum of numbered files: `await run(database_url)` brings a database up to date."""

from runtara_core.migrations.runner import CORE_MIGRATIONS, AppliedMigration, MigrationSet, run

__all__ = ["CORE_MIGRATIONS", "AppliedMigration", "MigrationSet", "run"]
