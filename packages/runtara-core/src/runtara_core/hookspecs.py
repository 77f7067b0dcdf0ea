"""The hook of storage plugins (entry-point group `runtara.storage`).

A plugin keeps the state of instances somewhere else than in PostgreSQL and SQLite. Its distribution requires the
versions of `runtara-core` that it works with and names its module:

    [project]
    dependencies = ["runtara-core>=0.1,<0.2"]
    [project.entry-points."runtara.storage"]
    acme = "acme_storage.plugin"

    # acme_storage/plugin.py
    from runtara_core.hookspecs import hookimpl

    @hookimpl
    def runtara_storage(database_url):
        return AcmeStorage(database_url) if database_url.startswith("acme://") else None

What it returns is a `runtara_core.storage.Storage`; `runtara_core.testing` has the suite that shows whether it keeps
what a storage promises. `runtara core`, `runtara run` and `runtara dev` then take `--database-url acme://...`. The
tables of an environment need PostgreSQL or SQLite: a daemon is given RUNTARA_ENVIRONMENT_DATABASE_URL beside it, and
`runtara run` and `runtara dev` keep them in a file of the data directory. `runtara new storage` makes a distribution to
begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from runtara_core.storage import Storage

hookspec = pluggy.HookspecMarker("runtara")
hookimpl = pluggy.HookimplMarker("runtara")


@hookspec(firstresult=True)
def runtara_storage(database_url: str) -> Storage | None:
    """A storage for `database_url`, not yet open, or None when its scheme belongs to another plugin.

    It is called in a thread without an event loop, and must wait for nothing: `Storage.open` is where to connect.

    Raises `ConfigurationError` when the scheme is this plugin's and the rest of the URL is unusable.
    """
