"""Acme's storages of instances: in memory, and in memory with a journal on the disk.

Both are written against the public contract of `runtara_core` alone. They are plain dictionaries, without SQL, and with
no `await` inside the part of a verb that decides and changes, so each verb is atomic by nature.
"""

from __future__ import annotations

from acme_storage.journal import JournalStorage
from acme_storage.memory import MemoryStorage

__all__ = ["JournalStorage", "MemoryStorage"]
