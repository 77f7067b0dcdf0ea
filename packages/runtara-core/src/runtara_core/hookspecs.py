"""The hook of entry-point group `runtara.storage`."""

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

    Raises `ConfigurationError` when the scheme is this plugin's and the rest of the URL is unusable.
    """
