"""Embedded programs remove what finished long ago in their database, beside their own work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from runtara_core.embedded import EmbeddedBackend, connect_embedded
from runtara_core.models import CoreLimits, InstanceFilter
from runtara_core.retention_settings import RetentionSettings
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import ConfigurationError, StorageError
from runtara_sdk.models import EventType, InstanceEvent
from runtara_sdk.testing.clock import ManualClock

DAY_MS = 86_400_000
DEFAULT = RetentionSettings()


async def finish(storage: Storage, instance_id: str, now_ms: int) -> None:
    arguments = {"epoch": None, "checkpoint_id": None, "limits": CoreLimits(), "now_ms": now_ms}
    epoch = (await storage.register_instance(instance_id, "tenant", **arguments)).epoch
    await storage.report_event(instance_id, epoch, InstanceEvent(EventType.COMPLETED), now_ms=now_ms)


async def left(storage: Storage) -> set[str]:
    return {each.instance_id for each in (await storage.list_instances(InstanceFilter())).instances}


async def until(condition: Callable[[], Awaitable[bool]], clock: ManualClock, *, advance_ms: int = 0) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            clock.advance(advance_ms)
            await asyncio.sleep(0.001)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    """The database, as another process sees it."""
    storage = await open_storage(f"sqlite:///{tmp_path}/run.db")
    await storage.open()
    yield storage
    await storage.close()


@asynccontextmanager
async def program(
    tmp_path: Path, clock: ManualClock, retention: RetentionSettings = DEFAULT
) -> AsyncIterator[EmbeddedBackend]:
    """A program that is running."""
    own = await open_storage(f"sqlite:///{tmp_path}/run.db")
    backend = EmbeddedBackend(own, "me", "tenant", clock=clock, retention=retention)
    await backend.connect()
    try:
        await backend.register(None)
        yield backend
    finally:
        await backend.close()


async def test_what_finished_long_ago_goes_and_the_rest_stays(storage: Storage, tmp_path: Path) -> None:
    clock = ManualClock()
    for number in range(25):
        await finish(storage, f"old-{number}", clock.now_ms() - 3 * DAY_MS - 1)
    await finish(storage, "young", clock.now_ms() - 2 * DAY_MS)
    async with program(tmp_path, clock):

        async def only_those() -> bool:
            return await left(storage) == {"young", "me"}

        await until(only_those, clock, advance_ms=100)


async def test_a_pass_comes_every_interval(storage: Storage, tmp_path: Path) -> None:
    clock = ManualClock()
    await finish(storage, "first", clock.now_ms() - 2 * DAY_MS)
    async with program(tmp_path, clock, RetentionSettings(max_age_days=1, poll_interval_seconds=60)):

        async def gone() -> bool:
            return await left(storage) == {"me"}

        await until(gone, clock)
        await finish(storage, "second", clock.now_ms() - 2 * DAY_MS)
        await until(gone, clock, advance_ms=1_000)


async def test_a_program_never_waits_for_it(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    await finish(storage, "old", clock.now_ms() - 4 * DAY_MS)
    asked = asyncio.Event()

    async def hang(*, finished_before_ms: int, limit: int) -> int:
        asked.set()
        return await asyncio.get_running_loop().create_future()

    own = await open_storage(f"sqlite:///{tmp_path}/run.db")
    monkeypatch.setattr(own, "delete_finished", hang)
    backend = EmbeddedBackend(own, "me", "tenant", clock=clock, retention=RetentionSettings())
    async with asyncio.timeout(60):
        await backend.connect()
        await backend.register(None)
        await asked.wait()
        assert not (await backend.checkpoint("step", b"1")).found
        await backend.close()
    assert await left(storage) == {"old", "me"}


async def test_a_failure_is_no_concern_of_the_program(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()

    async def fail(*, finished_before_ms: int, limit: int) -> int:
        raise StorageError("delete_finished: the disk is full")

    own = await open_storage(f"sqlite:///{tmp_path}/run.db")
    monkeypatch.setattr(own, "delete_finished", fail)
    backend = EmbeddedBackend(own, "me", "tenant", clock=clock, retention=RetentionSettings())
    await backend.connect()
    await backend.register(None)

    async def complained() -> bool:
        return "finished instances were not removed: delete_finished: the disk is full" in caplog.text

    await until(complained, clock)
    assert not (await backend.checkpoint("step", b"1")).found
    await backend.close()


@pytest.mark.parametrize("enabled", ["true", "false"])
async def test_variables_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: str) -> None:
    monkeypatch.setenv("RUNTARA_DB_CLEANUP_ENABLED", enabled)
    url = f"sqlite:///{tmp_path}/run.db"
    backend = await connect_embedded(url, "me", "tenant")
    await backend.connect()
    await backend.register(None)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert ("remove finished instances" in names) is (enabled == "true")
    await backend.close()
    assert "remove finished instances" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_wrong_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_DB_CLEANUP_MAX_AGE_DAYS", "soon")
    with pytest.raises(ConfigurationError, match="RUNTARA_DB_CLEANUP_MAX_AGE_DAYS"):
        await connect_embedded(f"sqlite:///{tmp_path}/run.db", "me", "tenant")
