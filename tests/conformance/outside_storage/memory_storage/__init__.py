"""A storage in memory, written against the public contract alone, as another distribution would.

It is the reference that the storages of this repository are compared with: plain dictionaries, no SQL, and no `await`
inside a verb, so each is atomic by nature.
"""

from __future__ import annotations

from runtara_core.hookspecs import hookimpl
from runtara_core.storage import Storage

from memory_storage.storage import MemoryStorage

__all__ = ["MemoryStorage", "runtara_storage"]


@hookimpl
def runtara_storage(database_url: str) -> Storage | None:
    """Memory for `memory://`."""
    return MemoryStorage() if database_url.startswith("memory://") else None
