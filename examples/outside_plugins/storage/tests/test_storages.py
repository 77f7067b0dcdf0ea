"""Both storages keep what the contract promises, and the journal what it was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from acme_storage import JournalStorage
from runtara_core.models import NewInstance
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.testing.storage_suite import StorageConformance
from runtara_sdk.errors import ConfigurationError, StorageError


async def opened(url: str) -> AsyncIterator[Storage]:
    storage = await open_storage(url)
    await storage.open()
    yield storage
    await storage.close()


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    async def storage(self) -> AsyncIterator[Storage]:
        async for storage in opened("memory://suite"):
            yield storage


class TestJournalStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[Storage]:
        async for storage in opened(f"journal://{tmp_path}/core.journal"):
            yield storage


async def test_what_a_death_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "core.journal"
    async for storage in opened(f"journal://{path}"):
        for number in range(3):
            await storage.create_instance(NewInstance(f"instance-{number}", "acme", "image", b"{}"), now_ms=number)
    path.write_bytes(path.read_bytes()[:-1])
    async for storage in opened(f"journal://{path}"):
        assert await storage.get_instance("instance-1")
        assert await storage.get_instance("instance-2") is None
        await storage.create_instance(NewInstance("instance-3", "acme", "image", b"{}"), now_ms=3)
    async for storage in opened(f"journal://{path}"):
        assert await storage.get_instance("instance-3")


async def test_a_journal_belongs_to_one_process(tmp_path: Path) -> None:
    async for _ in opened(f"journal://{tmp_path}/core.journal"):
        with pytest.raises(StorageError, match="another process has the journal"):
            await JournalStorage(tmp_path / "core.journal").open()


async def test_a_url_without_an_absolute_path_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="write journal:///ABSOLUTE/PATH"):
        await open_storage("journal://core")
