"""The hook by which core finds the storages."""

from __future__ import annotations

from pathlib import Path

from runtara_core.hookspecs import hookimpl
from runtara_core.storage import Storage
from runtara_sdk.errors import ConfigurationError

from acme_storage.journal import JournalStorage
from acme_storage.memory import MemoryStorage

_JOURNAL = "journal://"


@hookimpl
def runtara_storage(database_url: str) -> Storage | None:
    """Memory for `memory://`, a journal for `journal:///ABSOLUTE/PATH`; other schemes belong to other plugins."""
    if database_url.startswith("memory://"):
        return MemoryStorage()
    if not database_url.startswith(_JOURNAL):
        return None
    path = Path(database_url.removeprefix(_JOURNAL))
    if not path.is_absolute() or "\0" in database_url:
        raise ConfigurationError(f"the URL {database_url!r} names no journal: write journal:///ABSOLUTE/PATH")
    return JournalStorage(path)
