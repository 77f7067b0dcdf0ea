"""The environment's schema, on top of core's: `await run(database)` brings both up to date."""

from runtara_environment.migrations.runner import ENVIRONMENT_MIGRATIONS, run

__all__ = ["ENVIRONMENT_MIGRATIONS", "run"]
