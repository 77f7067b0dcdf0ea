"""The worker that removes finished instances, and what becomes of the file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from runtara_core.models import CoreLimits, InstanceFilter
from runtara_core.retention import keep_removing_finished, remove_finished
from runtara_core.retention_settings import RetentionSettings
from runtara_core.settings import CoreSettings
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import ConfigurationError, StorageError
from runtara_sdk.models import EventType, InstanceEvent
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.clock import ManualClock

DAY_MS = 86_400_000


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    yield storage
    await storage.close()


async def finish(storage: Storage, instance_id: str, now_ms: int, state: bytes = b"") -> None:
    arguments = {"epoch": None, "checkpoint_id": None, "limits": CoreLimits(), "now_ms": now_ms}
    epoch = (await storage.register_instance(instance_id, "tenant", **arguments)).epoch
    if state:
        await storage.checkpoint(instance_id, epoch, "large", state, now_ms=now_ms)
    await storage.report_event(instance_id, epoch, InstanceEvent(EventType.COMPLETED), now_ms=now_ms)


async def count(storage: Storage) -> int:
    return (await storage.list_instances(InstanceFilter())).total_count


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0)


async def test_a_pass_goes_on_until_nothing_old_is_left(storage: Storage) -> None:
    clock = ManualClock()
    for number in range(7):
        await finish(storage, f"old-{number}", clock.now_ms() - 3 * DAY_MS - 1)
    await finish(storage, "young", clock.now_ms() - 3 * DAY_MS)
    assert await remove_finished(storage, clock, RetentionSettings(batch_size=2)) == 7
    assert await count(storage) == 1


async def test_the_first_pass_is_at_once_and_the_next_after_the_interval(storage: Storage) -> None:
    clock = ManualClock()
    await finish(storage, "first", clock.now_ms() - 2 * DAY_MS)
    await finish(storage, "second", clock.now_ms() - DAY_MS + 1_000)
    settings = RetentionSettings(max_age_days=1, poll_interval_seconds=60)
    worker = asyncio.create_task(keep_removing_finished(storage, clock, settings))

    async def left(expected: int) -> bool:
        return await count(storage) == expected

    await until(lambda: left(1))
    clock.advance(59_999)
    assert await count(storage) == 1

    async def second_gone() -> bool:
        clock.advance(60_000)
        return await left(0)

    await until(second_gone)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_a_pass_that_fails_is_made_up_for(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    await finish(storage, "old", clock.now_ms() - 4 * DAY_MS)
    delete = storage.delete_finished
    calls = 0

    async def fail_once(*, finished_before_ms: int, limit: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StorageError("delete_finished: the disk is full")
        return await delete(finished_before_ms=finished_before_ms, limit=limit)

    monkeypatch.setattr(storage, "delete_finished", fail_once)
    worker = asyncio.create_task(keep_removing_finished(storage, clock, RetentionSettings()))

    async def gone() -> bool:
        if calls:
            clock.advance(3_600_000)
        return await count(storage) == 0

    await until(gone)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert "finished instances were not removed: delete_finished: the disk is full" in caplog.text


async def test_the_file_shrinks(storage: Storage, tmp_path: Path) -> None:
    now_ms = ManualClock().now_ms()
    for number in range(20):
        await finish(storage, f"old-{number}", now_ms, bytes(200_000))
    assert await storage.delete_finished(finished_before_ms=now_ms + 1, limit=100) == 20
    await storage.close()
    connection = sqlite3.connect(tmp_path / "core.db")
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.close()
    assert (tmp_path / "core.db").stat().st_size < 400_000


async def test_a_file_made_without_room_for_shrinking_still_serves(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "old.db").executescript("CREATE TABLE other (id INTEGER)").close()
    storage = await open_storage(f"sqlite:///{tmp_path}/old.db")
    await storage.open()
    await finish(storage, "old", 1, bytes(200_000))
    assert await storage.delete_finished(finished_before_ms=2, limit=100) == 1
    await storage.close()


def test_settings_are_read_from_the_environment() -> None:
    variables = {"RUNTARA_DATABASE_URL": "core.db"}
    assert CoreSettings.from_environment(EnvironmentReader(variables)).retention == RetentionSettings()
    variables |= {
        "RUNTARA_DB_CLEANUP_ENABLED": "false",
        "RUNTARA_DB_CLEANUP_MAX_AGE_DAYS": "30",
        "RUNTARA_DB_CLEANUP_POLL_INTERVAL_SECS": "60",
        "RUNTARA_DB_CLEANUP_BATCH_SIZE": "5",
    }
    read = CoreSettings.from_environment(EnvironmentReader(variables)).retention
    assert read == RetentionSettings(enabled=False, max_age_days=30, poll_interval_seconds=60, batch_size=5)
    with pytest.raises(ConfigurationError, match="RUNTARA_DB_CLEANUP_MAX_AGE_DAYS='0' must lie between"):
        CoreSettings.from_environment(EnvironmentReader({**variables, "RUNTARA_DB_CLEANUP_MAX_AGE_DAYS": "0"}))
