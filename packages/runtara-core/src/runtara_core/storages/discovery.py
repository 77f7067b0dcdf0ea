"""Finding the storage plugin for a database URL."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import entry_points

import pluggy
from runtara_sdk.errors import ConfigurationError, RuntaraError

from runtara_core import hookspecs
from runtara_core.database.urls import url_scheme
from runtara_core.storage import Storage

_GROUP = "runtara.storage"

logger = logging.getLogger(__name__)


async def open_storage(database_url: str) -> Storage:
    """The storage for a URL, ready for `await storage.open()`.

    `postgres://` and `postgresql://` name PostgreSQL; `sqlite://` and plain paths an SQLite file; installed plugins may
    add schemes. Raises `ConfigurationError` when no plugin knows the scheme, listing those that are installed.
    """
    # Importing plugins reads files, and must not hold up the loop.
    plugins = await asyncio.to_thread(_load_plugins)
    try:
        storage: Storage | None = plugins.hook.runtara_storage(database_url=database_url)
    except RuntaraError:
        raise
    except Exception as error:
        raise ConfigurationError(f"a storage plugin failed for scheme {url_scheme(database_url)!r}: {error}") from error
    if storage is None:
        known = ", ".join(sorted(name for name, _ in plugins.list_name_plugin()))
        raise ConfigurationError(
            f"no storage for the database URL scheme {url_scheme(database_url)!r}: installed are {known or 'none'}"
        )
    return storage


def _load_plugins() -> pluggy.PluginManager:
    plugins = pluggy.PluginManager("runtara")
    plugins.add_hookspecs(hookspecs)
    for entry_point in sorted(entry_points(group=_GROUP), key=lambda entry_point: entry_point.name):
        try:
            plugins.register(entry_point.load(), name=entry_point.name)
        except Exception as error:  # noqa: BLE001 - a broken plugin must not take the host down
            logger.warning("storage plugin %s (%s) is skipped: %s", entry_point.name, entry_point.value, error)
    plugins.check_pending()
    return plugins
