from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.testing.storage_suite import StorageConformance


class TestSqliteStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
        await storage.open()
        yield storage
        await storage.close()


class TestSqliteStorageInMemory(StorageConformance):
    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        storage = await open_storage("sqlite://:memory:")
        await storage.open()
        yield storage
        await storage.close()
