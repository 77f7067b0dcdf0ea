"""Finding the storage plugin for a database URL.

`RUNTARA_PLUGINS` and `RUNTARA_DISABLE_PLUGINS` choose among the installed plugins. One that cannot be loaded or that
fails is named in the log and left out: it must not take those down that work.
"""

from __future__ import annotations

import asyncio
import logging

import pluggy
from runtara_sdk.errors import ConfigurationError, RuntaraError
from runtara_sdk.plugins import Plugin, PluginError, find_plugins

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
    plugins = await asyncio.to_thread(find_plugins, _GROUP)
    usable, broken = [], []
    for plugin in plugins:
        if not plugin.is_enabled:
            continue
        try:
            # Importing a plugin reads files, and must not hold up the loop.
            storage = await asyncio.to_thread(_ask, plugin, database_url)
        except PluginError as error:
            logger.warning("a storage plugin is skipped: %s", error.message)
            broken.append(error.message)
            continue
        if storage is not None:
            return storage
        usable.append(plugin.name)
    scheme = url_scheme(database_url)
    known = ", ".join(usable) or "none"
    disabled = [plugin.name for plugin in plugins if not plugin.is_enabled]
    hint = f"; switched off by RUNTARA_PLUGINS or RUNTARA_DISABLE_PLUGINS: {', '.join(disabled)}" if disabled else ""
    reasons = "".join(f"; {reason}" for reason in broken)
    raise ConfigurationError(f"no storage for the database URL scheme {scheme!r}: installed are {known}{hint}{reasons}")


def _ask(plugin: Plugin, database_url: str) -> Storage | None:
    """A plugin's storage for a URL; raises `PluginError` when the plugin does not work, and what it says of the URL."""
    hooks = _hooks_of(plugin)

    def answer() -> Storage | RuntaraError | None:
        try:
            storage = hooks.runtara_storage(database_url=database_url)
        except RuntaraError as refusal:
            return refusal
        if storage is not None and not isinstance(storage, Storage):
            raise TypeError(f"its hook returned {type(storage).__name__}, which is no Storage")
        return storage

    answered = plugin.guard(answer)
    if isinstance(answered, RuntaraError):
        raise answered
    return answered


def _hooks_of(plugin: Plugin) -> pluggy.HookRelay:
    module = plugin.load()

    def register() -> pluggy.HookRelay:
        manager = pluggy.PluginManager("runtara")
        manager.add_hookspecs(hookspecs)
        manager.register(module, name=plugin.name)
        manager.check_pending()
        return manager.hook

    return plugin.guard(register)
