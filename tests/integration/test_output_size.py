"""A large output is stored once."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
from runtara_core.models import CoreLimits, EventFilter
from runtara_core.storages import open_storage
from runtara_sdk.models import EventType, InstanceEvent

OUTPUT = os.urandom(8_000_000)
"""Random, so that no database can make it shorter."""


async def growth(database_url: str, size: Callable[[], Awaitable[int]]) -> int:
    storage = await open_storage(database_url)
    await storage.open()
    try:
        registration = await storage.register_instance(
            "i", "t", epoch=None, checkpoint_id=None, limits=CoreLimits(1), now_ms=1
        )
        before = await size()
        end = InstanceEvent(EventType.COMPLETED, OUTPUT, event_key="end")
        await storage.report_event("i", registration.epoch, end, now_ms=2)
        events = await storage.list_events("i", EventFilter(event_type=EventType.COMPLETED))
        assert [event.payload for event in events.events] == [OUTPUT]
        return await size() - before
    finally:
        await storage.close()


async def test_sqlite(tmp_path: Path) -> None:
    async def size() -> int:
        return (tmp_path / "core.db").stat().st_size + (tmp_path / "core.db-wal").stat().st_size

    await growth(f"sqlite:///{tmp_path}/core.db", size)
    assert (tmp_path / "core.db").stat().st_size < 1.2 * len(OUTPUT)


async def test_postgres(postgres_database_url: str) -> None:
    async def size() -> int:
        connection = await asyncpg.connect(postgres_database_url)
        try:
            query = "SELECT pg_total_relation_size('instances') + pg_total_relation_size('instance_events')"
            return int(await connection.fetchval(query))
        finally:
            await connection.close()

    assert await growth(postgres_database_url, size) < 1.2 * len(OUTPUT)
