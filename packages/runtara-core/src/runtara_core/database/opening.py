"""From a database URL to the database."""

from __future__ import annotations

from runtara_core.database.interface import Database
from runtara_core.database.queries import Dialect, QuerySet
from runtara_core.database.urls import DatabaseUrl


def create_database(url: str, queries: QuerySet) -> Database:
    """The database at `url`, not yet open, with `queries` to run on it.

    PostgreSQL is used as the variables say (`PostgresSettings`). Raises `ConfigurationError` for a bad URL or variable.
    """
    parsed = DatabaseUrl.parse(url)
    if parsed.dialect is Dialect.POSTGRES:
        # Imported here so that whoever uses SQLite never loads the PostgreSQL driver.
        from runtara_core.database.postgres import PostgresDatabase
        from runtara_core.database.postgres_settings import PostgresSettings

        return PostgresDatabase(parsed, queries, PostgresSettings.from_environment())
    from runtara_core.database.sqlite import SqliteDatabase

    return SqliteDatabase(parsed, queries)
