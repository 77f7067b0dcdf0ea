"""Storages by database URL; each scheme is contributed through the entry-point group `runtara.storage`."""

from runtara_core.storages.discovery import open_storage

__all__ = ["open_storage"]
