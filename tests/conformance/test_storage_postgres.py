from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.testing.storage_suite import StorageConformance


class TestPostgresStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, emptied_postgres_database_url: str) -> AsyncIterator[Storage]:
        storage = await open_storage(emptied_postgres_database_url)
        await storage.open()
        yield storage
        await storage.close()
