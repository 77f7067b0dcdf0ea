"""The storage plugin for PostgreSQL."""

from __future__ import annotations

from runtara_core.database import DatabaseUrl
from runtara_core.database.urls import url_scheme
from runtara_core.hookspecs import hookimpl
from runtara_core.storage import Storage


@hookimpl
def runtara_storage(database_url: str) -> Storage | None:
    """PostgreSQL for `postgres://` and `postgresql://`."""
    if url_scheme(database_url) not in {"postgres", "postgresql"}:
        return None
    # Imported here so that whoever uses SQLite never loads the PostgreSQL driver.
    from runtara_core.database.postgres import PostgresDatabase
    from runtara_core.database.postgres_settings import PostgresSettings
    from runtara_core.storages.postgres_batches import POSTGRES_QUERIES, PostgresStorage

    database = PostgresDatabase(DatabaseUrl.parse(database_url), POSTGRES_QUERIES, PostgresSettings.from_environment())
    return PostgresStorage(database)
