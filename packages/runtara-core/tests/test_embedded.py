"""The instance API on a database of the program's own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from runtara_core.embedded import EmbeddedBackend
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import StaleEpochError, StorageError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus

Open = Callable[..., Awaitable[EmbeddedBackend]]


@pytest.fixture
async def open_backend(tmp_path: Path) -> AsyncIterator[Open]:
    backends: list[EmbeddedBackend] = []

    async def open_one(instance_id: str = "i", storage: Storage | None = None) -> EmbeddedBackend:
        backend = EmbeddedBackend(storage or await _storage(tmp_path), instance_id, "tenant-1")
        backends.append(backend)
        await backend.connect()
        await backend.register(None)
        return backend

    yield open_one
    for backend in backends:
        await backend.close()


async def _storage(tmp_path: Path) -> Storage:
    return await open_storage(f"sqlite:///{tmp_path}/run.db")


async def test_programs_that_were_killed_take_no_place_of_others(open_backend: Open) -> None:
    # More than a daemon would run; none of them ends its instance.
    for number in range(40):
        backend = await open_backend(f"i-{number}")
        await backend.checkpoint("step", b"")
        await backend.close()


async def test_a_second_process_supersedes_the_first_in_every_verb(open_backend: Open) -> None:
    first = await open_backend()
    await first.checkpoint("step", b"first")
    second = await open_backend()
    for call in (
        first.get_progress("next"),
        first.checkpoint("next", b""),
        first.sleep("nap", 1, b"", suspend_above_ms=0),
        first.wait_signal("gate", None, suspend_above_ms=0),
        first.poll_signals(None),
        first.report_event(InstanceEvent(EventType.HEARTBEAT)),
        first.report_event(InstanceEvent(EventType.COMPLETED)),
    ):
        with pytest.raises(StaleEpochError):
            await call
    assert (await second.get_progress("step")).state == b"first"
    status = await second.get_instance_status("i")
    assert status.status is InstanceStatus.RUNNING


class Troubled:
    """Makes the calls of one verb of a storage fail so often, after they have happened or before."""

    def __init__(self, storage: Storage, verb: str, *, failures: int, happened: bool, retryable: bool = True) -> None:
        self.calls = 0
        serve = getattr(storage, verb)

        async def fail(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            result = await serve(*args, **kwargs) if happened or self.calls > failures else None
            if self.calls <= failures:
                raise StorageError(f"{verb}: the connection broke", retryable=retryable)
            return result

        setattr(storage, verb, fail)


@pytest.mark.parametrize("happened", [False, True])
async def test_calls_are_made_again_while_the_database_is_away(
    tmp_path: Path, open_backend: Open, happened: bool
) -> None:
    storage = await _storage(tmp_path)
    backend = await open_backend(storage=storage)
    troubled = Troubled(storage, "checkpoint", failures=2, happened=happened)
    result = await backend.checkpoint("step", b"state")
    assert (troubled.calls, result.found) == (3, happened)
    Troubled(storage, "checkpoint", failures=2, happened=happened)
    keyed = await backend.checkpoint("keyed", b"state", call_key=b"call")
    assert not keyed.found
    Troubled(storage, "report_event", failures=2, happened=happened)
    await backend.report_event(InstanceEvent(EventType.COMPLETED, b"1", event_key="end"))
    status = await backend.get_instance_status("i")
    assert (status.status, status.output) == (InstanceStatus.COMPLETED, b"1")


async def test_patience_ends(tmp_path: Path, open_backend: Open) -> None:
    storage = await _storage(tmp_path)
    backend = await open_backend(storage=storage)
    backend.patience_seconds = 0.0
    Troubled(storage, "checkpoint", failures=1, happened=False)
    with pytest.raises(StorageError, match="the connection broke"):
        await backend.checkpoint("step", b"state")
    backend.patience_seconds = 60.0
    refused = Troubled(storage, "checkpoint", failures=9, happened=False, retryable=False)
    with pytest.raises(StorageError, match="the connection broke"):
        await backend.checkpoint("step", b"state")
    assert refused.calls == 1


async def test_a_file_that_another_program_holds_only_delays(
    tmp_path: Path, open_backend: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("runtara_core.database.sqlite._BUSY_TIMEOUT_MS", 50)
    backend = await open_backend()
    other = sqlite3.connect(tmp_path / "run.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    call = asyncio.create_task(backend.checkpoint("step", b"state"))
    async with asyncio.timeout(60):
        while "another process holds the database file locked; trying again" not in caplog.text:
            await asyncio.sleep(0.01)
    other.execute("COMMIT")
    other.close()
    assert not (await call).found
