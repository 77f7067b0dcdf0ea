"""Batches of checkpoints on PostgreSQL: what one holds together must not show in any answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from runtara_core.models import CheckpointFilter, CoreLimits
from runtara_core.storages import open_storage
from runtara_core.storages.postgres_batches import PostgresStorage
from runtara_sdk.errors import (
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    RuntaraError,
    StaleEpochError,
)
from runtara_sdk.models import CheckpointResult, CustomSignal, EventType, InstanceEvent, NewCheckpoint, SignalType

NOW_MS = 1_700_000_000_000


@pytest.fixture
async def storage(emptied_postgres_database_url: str) -> AsyncIterator[PostgresStorage]:
    storage = await open_storage(emptied_postgres_database_url)
    assert isinstance(storage, PostgresStorage)
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
async def other_connection(
    emptied_postgres_database_url: str, storage: PostgresStorage
) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(emptied_postgres_database_url)
    yield connection
    await connection.close()


async def register(storage: PostgresStorage, *instance_ids: str) -> None:
    for instance_id in instance_ids:
        await storage.register_instance(
            instance_id, "tenant", epoch=None, checkpoint_id=None, limits=CoreLimits(), now_ms=NOW_MS
        )


async def together(*calls: Any) -> list[Any]:
    """Results or errors of calls made in one iteration of the loop, so that they share a batch."""
    return await asyncio.gather(*calls, return_exceptions=True)


async def one_by_one(*calls: Any) -> list[Any]:
    """The same of calls that are each a batch of their own."""
    return [(await together(call))[0] for call in calls]


@pytest.mark.parametrize("gather", [together, one_by_one])
async def test_each_request_of_a_batch_has_its_own_outcome(
    storage: PostgresStorage, gather: Callable[..., Awaitable[list[Any]]]
) -> None:
    await register(storage, "one", "two", "three", "done")
    done = InstanceEvent(EventType.COMPLETED)
    await storage.report_event("done", 1, done, now_ms=NOW_MS)
    await storage.checkpoint("three", 1, "old", b"old", now_ms=NOW_MS)
    await storage.send_signal("two", SignalType.PAUSE, b"why", now_ms=NOW_MS)
    await storage.send_signal("two", SignalType.CANCEL, b"", now_ms=NOW_MS)
    await storage.send_custom_signal("one", CustomSignal("step", b"go"), now_ms=NOW_MS)
    calls = {
        ("one", 1, "step"): CheckpointResult,
        ("two", 1, "step"): CheckpointResult,
        ("one", None, "second"): CheckpointResult,
        ("two", 7, "stale"): StaleEpochError,
        ("done", 1, "late"): InvalidStateError,
        ("nobody", 1, "step"): InstanceNotFoundError,
        ("three", 1, "old"): CheckpointResult,
        ("three", 2**63, "huge"): RuntaraError,
        ("three", 1, "nul\0"): InvalidInputError,
        ("three", 1, "lone \ud800"): InvalidInputError,
    }
    results = await gather(*(storage.checkpoint(*call, b"state", now_ms=NOW_MS + 5) for call in calls))
    for result, expected in zip(results, calls.values(), strict=True):
        assert isinstance(result, expected), result
    one, two, *_ = results
    assert (one.found, one.pending_signal, one.custom_signal) == (False, None, CustomSignal("step", b"go"))
    assert two.should_cancel
    assert two.custom_signal is None
    assert (results[6].found, results[6].state) == (True, b"old")
    instance = await storage.get_instance("one")
    assert instance is not None
    assert (instance.checkpoint_id, instance.checkpoint_count, instance.last_contact_at_ms) == ("second", 2, NOW_MS + 5)
    for unstored in ("stale", "late", "huge"):
        assert await storage.get_checkpoint("two", unstored) is None


async def test_many_checkpoints_of_one_instance_keep_their_order(storage: PostgresStorage) -> None:
    await register(storage, "one")
    names = [f"step-{number:03}" for number in range(300)]
    results = await together(*(storage.checkpoint("one", 1, name, name.encode(), now_ms=NOW_MS) for name in names))
    assert not any(result.found for result in results)
    page = await storage.list_checkpoints("one", CheckpointFilter(limit=1_000, offset=0))
    assert [each.checkpoint_id for each in page.checkpoints] == names[::-1]
    instance = await storage.get_instance("one")
    assert instance is not None
    assert (instance.checkpoint_id, instance.checkpoint_count) == (names[-1], 300)


async def test_a_row_that_somebody_holds_delays_only_its_own_checkpoint(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "held", "free")
    async with other_connection.transaction():
        await other_connection.execute("SELECT 1 FROM instances WHERE instance_id = 'held' FOR UPDATE")
        held = asyncio.create_task(storage.checkpoint("held", 1, "step", b"1", now_ms=NOW_MS))
        free = asyncio.create_task(storage.checkpoint("free", 1, "step", b"1", now_ms=NOW_MS))
        async with asyncio.timeout(60):
            assert not (await free).found
        assert not held.done()
        await other_connection.execute("UPDATE instances SET epoch = 2 WHERE instance_id = 'held'")
    with pytest.raises(StaleEpochError):
        await held


async def test_a_lone_checkpoint_sees_what_changed_while_it_waited_for_its_turn(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "one")
    await storage.checkpoint("one", 1, "first", b"1", now_ms=NOW_MS)
    async with other_connection.transaction():
        await other_connection.execute(
            "UPDATE instance_progress SET checkpoint_count = checkpoint_count + 1 WHERE instance_id = 'one'"
        )
        waits = asyncio.create_task(storage.checkpoint("one", 1, "second", b"2", now_ms=NOW_MS))
        assert (await storage.get_checkpoint("one", "first")) == b"1"
    assert not (await waits).found
    instance = await storage.get_instance("one")
    assert instance is not None
    assert (instance.checkpoint_id, instance.checkpoint_count) == ("second", 3)


async def test_a_cancelled_caller_takes_nobody_along(storage: PostgresStorage) -> None:
    await register(storage, "one", "two")
    for rounds in range(8):
        gone = asyncio.create_task(storage.checkpoint("one", 1, f"step-{rounds}", b"1", now_ms=NOW_MS))
        stays = asyncio.create_task(storage.checkpoint("two", 1, f"step-{rounds}", b"1", now_ms=NOW_MS))
        for _ in range(rounds):
            await asyncio.sleep(0)
        gone.cancel()
        assert not (await stays).found


async def test_a_batch_that_the_database_refuses_is_made_singly(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "one", "two")
    # A rule of somebody's own, which lets the whole statement fail.
    await other_connection.execute("ALTER TABLE checkpoints ADD CONSTRAINT picky CHECK (checkpoint_id <> 'bad')")
    try:
        good, bad = await together(
            storage.checkpoint("one", 1, "good", b"1", now_ms=NOW_MS),
            storage.checkpoint("two", 1, "bad", b"1", now_ms=NOW_MS),
        )
    finally:
        await other_connection.execute("ALTER TABLE checkpoints DROP CONSTRAINT picky")
    assert isinstance(good, CheckpointResult)
    assert isinstance(bad, RuntaraError)
    assert await storage.get_checkpoint("two", "bad") is None


async def test_several_checkpoints_are_in_one_batch_and_leave_those_of_others_alone(storage: PostgresStorage) -> None:
    await register(storage, "one", "two", "done")
    await storage.report_event("done", 1, InstanceEvent(EventType.COMPLETED), now_ms=NOW_MS)
    await storage.checkpoint("one", 1, "old", b"old", now_ms=NOW_MS)
    new = [NewCheckpoint(name, name.encode()) for name in ("a", "old", "b", "a")]
    first, again, other, late, stale, alone = await together(
        storage.checkpoints("one", 1, new, now_ms=NOW_MS),
        storage.checkpoints("one", 1, [NewCheckpoint("c"), NewCheckpoint("b", b"second")], now_ms=NOW_MS),
        storage.checkpoints("two", 1, new, now_ms=NOW_MS),
        storage.checkpoints("done", 1, new, now_ms=NOW_MS),
        storage.checkpoints("two", 7, [NewCheckpoint("stale"), NewCheckpoint("too")], now_ms=NOW_MS),
        storage.checkpoint("one", 1, "alone", b"1", now_ms=NOW_MS),
    )
    assert [result.existing_state for result in first] == [None, b"old", None, b"a"]
    assert [result.existing_state for result in again] == [None, b"b"]
    assert [result.existing_state for result in other] == [None, None, None, b"a"]
    assert isinstance(late, InvalidStateError)
    assert isinstance(stale, StaleEpochError)
    assert not alone.found
    for instance_id, count in (("one", 5), ("two", 3), ("done", 0)):
        instance = await storage.get_instance(instance_id)
        assert instance is not None
        assert instance.checkpoint_count == count


async def test_several_checkpoints_of_an_instance_that_somebody_holds_wait_together(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "held")
    new = [NewCheckpoint("a"), NewCheckpoint("b")]
    async with other_connection.transaction():
        await other_connection.execute("SELECT 1 FROM instances WHERE instance_id = 'held' FOR UPDATE")
        held = asyncio.create_task(storage.checkpoints("held", 1, new, now_ms=NOW_MS))
        await storage.check_health()
        await other_connection.execute("UPDATE instances SET epoch = 2 WHERE instance_id = 'held'")
        assert not held.done()
    with pytest.raises(StaleEpochError):
        await held
    assert await storage.get_checkpoint("held", "a") is None


async def test_several_checkpoints_that_the_database_refuses_leave_nothing(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "one")
    await other_connection.execute("ALTER TABLE checkpoints ADD CONSTRAINT picky CHECK (checkpoint_id <> 'bad')")
    try:
        with pytest.raises(RuntaraError):
            await storage.checkpoints("one", 1, [NewCheckpoint("good"), NewCheckpoint("bad")], now_ms=NOW_MS)
    finally:
        await other_connection.execute("ALTER TABLE checkpoints DROP CONSTRAINT picky")
    assert await storage.get_checkpoint("one", "good") is None


async def test_a_closed_storage_refuses_at_once(storage: PostgresStorage) -> None:
    await register(storage, "one")
    await storage.close()
    with pytest.raises(RuntaraError, match="closed"):
        await storage.checkpoint("one", 1, "step", b"", now_ms=NOW_MS)


async def test_connections_that_broke_unnoticed_cost_no_error(
    storage: PostgresStorage, other_connection: asyncpg.Connection[Any]
) -> None:
    await register(storage, "one")
    for number in range(3):
        await other_connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await storage.checkpoint("one", 1, f"step-{number}", b"%d" % number, now_ms=NOW_MS)
        assert await storage.get_checkpoint("one", f"step-{number}") == b"%d" % number
