"""What every storage owes core, as `runtara-core` checks it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.testing.storage_suite import StorageConformance

from {{ cookiecutter.__module }}.plugin import SCHEME
from {{ cookiecutter.__module }}.storage import AuditedStorage


class TestConformance(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        storage = await open_storage(f"{SCHEME}:///{tmp_path}/core.db")
        assert isinstance(storage, AuditedStorage)
        await storage.open()
        yield storage
        await storage.close()
