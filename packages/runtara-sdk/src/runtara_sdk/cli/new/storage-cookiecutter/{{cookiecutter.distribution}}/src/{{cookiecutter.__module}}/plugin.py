"""What the entry point names: from a database URL to the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtara_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from runtara_core.storage import Storage

SCHEME = "{{ cookiecutter.__scheme }}"


@hookimpl
def runtara_storage(database_url: str) -> Storage | None:
    """The storage for URLs of this scheme, not yet open. None leaves every other URL to the other plugins."""
    if database_url.partition(":")[0].lower() != SCHEME:
        return None
    # Imported here, because this module is asked about the URLs of other storages, too.
    from {{ cookiecutter.__module }}.storage import AuditedStorage

    return AuditedStorage.at(database_url)
