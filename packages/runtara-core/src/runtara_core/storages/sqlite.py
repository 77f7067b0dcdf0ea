"""The storage plugin for SQLite."""

from __future__ import annotations

from runtara_core.database import DatabaseUrl
from runtara_core.database.sqlite import SqliteDatabase
from runtara_core.database.urls import url_scheme
from runtara_core.hookspecs import hookimpl
from runtara_core.storage import Storage
from runtara_core.storages.sqlite_storage import SQLITE_QUERIES, SqliteStorage


@hookimpl
def runtara_storage(database_url: str) -> Storage | None:
    """SQLite for `sqlite://` and plain paths."""
    if url_scheme(database_url) not in {"", "sqlite"}:
        return None
    return SqliteStorage(SqliteDatabase(DatabaseUrl.parse(database_url), SQLITE_QUERIES))
