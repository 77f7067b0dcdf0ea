"""What the instance service checks before it asks the storage, and what it does after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from runtara_core.due import DueBell, wait_until_rung
from runtara_core.instance_service import MAX_OUTPUT_BYTES, MAX_STATE_BYTES, InstanceService
from runtara_core.models import CoreLimits
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, NewCheckpoint, SignalType, SleepState
from runtara_sdk.testing.clock import ManualClock

DEADLINE_SECONDS = 10.0


class Bell(DueBell):
    """Counts its rings."""

    def __init__(self) -> None:
        super().__init__()
        self.rings = 0

    def ring(self) -> None:
        self.rings += 1
        super().ring()


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    opened = await open_storage(f"sqlite:///{tmp_path}/runtara.db")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
async def service(storage: Storage, clock: ManualClock, bell: Bell) -> InstanceService:
    made = InstanceService(storage, clock, CoreLimits(), bell)
    await made.register("instance-1", "tenant-1", epoch=None, checkpoint_id=None)
    return made


async def test_the_status_of_another_tenants_instance_is_that_of_none(service: InstanceService) -> None:
    foreign = await service.get_instance_status("instance-1", "tenant-2")
    unknown = await service.get_instance_status("instance-2", "tenant-2")
    assert not foreign.found
    assert foreign == replace(unknown, instance_id="instance-1")


@pytest.mark.parametrize("bad", ["", "x" * 1025, "nul\0"])
async def test_ids_are_checked(service: InstanceService, bad: str) -> None:
    for call in (
        service.register(bad, "tenant-1", epoch=None, checkpoint_id=None),
        service.register("instance-2", bad, epoch=None, checkpoint_id=None),
        service.checkpoint(bad, 1, "step-1", b""),
        service.checkpoint("instance-1", 1, bad, b""),
        service.get_checkpoint(bad, "step-1"),
        service.sleep("instance-1", 1, bad, b"", duration_ms=1, suspend_above_ms=None),
        service.report_event(bad, 1, InstanceEvent(EventType.COMPLETED)),
        service.poll_signals(bad, 1, None),
        service.acknowledge_signal(bad, 1, SignalType.CANCEL, None),
        service.get_instance_status(bad),
    ):
        with pytest.raises(InvalidInputError, match=r"instance_id|tenant_id|checkpoint_id"):
            await call


async def test_states_and_payloads_are_bounded(service: InstanceService) -> None:
    huge = bytes(MAX_STATE_BYTES + 1)
    for call in (
        service.checkpoint("instance-1", 1, "step-1", huge),
        service.sleep("instance-1", 1, "rest", huge, duration_ms=1, suspend_above_ms=None),
        service.report_event("instance-1", 1, InstanceEvent(EventType.COMPLETED, huge)),
    ):
        with pytest.raises(InvalidInputError, match="more than the"):
            await call


async def test_an_output_leaves_room_for_the_input_in_the_answer_to_who_asks(service: InstanceService) -> None:
    with pytest.raises(InvalidInputError, match="output has"):
        await service.report_event("instance-1", 1, InstanceEvent(EventType.COMPLETED, bytes(MAX_OUTPUT_BYTES + 1)))
    largest = InstanceEvent(EventType.COMPLETED, bytes(MAX_OUTPUT_BYTES))
    assert await service.report_event("instance-1", 1, largest) is InstanceStatus.COMPLETED


async def test_the_first_checkpoint_wins(service: InstanceService) -> None:
    assert not (await service.checkpoint("instance-1", 1, "step-1", b"first")).found
    again = await service.checkpoint("instance-1", 1, "step-1", b"second")
    assert (again.found, again.state) == (True, b"first")
    assert await service.get_checkpoint("instance-1", "step-1") == b"first"
    assert await service.get_checkpoint("instance-1", "step-2") is None


async def test_what_frees_a_place_or_becomes_due_rings(service: InstanceService, bell: Bell) -> None:
    await service.checkpoint("instance-1", 1, "step-1", b"")
    await service.report_event("instance-1", 1, InstanceEvent(EventType.HEARTBEAT))
    await service.poll_signals("instance-1", 1, None)
    assert bell.rings == 0
    outcome = await service.sleep("instance-1", 1, "rest", b"", duration_ms=60_000, suspend_above_ms=1_000)
    assert (outcome.state, bell.rings) == (SleepState.SUSPENDED, 1)
    await service.register("instance-1", "tenant-1", epoch=None, checkpoint_id=None)
    await service.report_event("instance-1", 2, InstanceEvent(EventType.COMPLETED))
    assert bell.rings == 2


async def test_a_sleep_in_the_server_answers_after_its_deadline(service: InstanceService, clock: ManualClock) -> None:
    sleep = asyncio.create_task(service.sleep_in_server("instance-1", 1, "rest", b"", duration_ms=5_000))

    async def has_begun() -> None:
        while await service.get_checkpoint("instance-1", "rest") is None:
            await asyncio.sleep(0)

    await asyncio.wait_for(has_begun(), DEADLINE_SECONDS)
    clock.advance(4_999)
    await service.get_instance_status("instance-1")
    assert not sleep.done()

    async def end() -> None:
        while not sleep.done():
            clock.advance(1)
            await asyncio.sleep(0)

    await asyncio.wait_for(end(), DEADLINE_SECONDS)
    outcome = await service.sleep("instance-1", 1, "rest", b"", duration_ms=5_000, suspend_above_ms=None)
    assert outcome.state is SleepState.DONE


async def test_status_of_known_and_unknown(service: InstanceService, clock: ManualClock) -> None:
    await service.report_event("instance-1", 1, InstanceEvent(EventType.COMPLETED, b'{"a": 1}'))
    known = await service.get_instance_status("instance-1")
    assert (known.found, known.status, known.output) == (True, InstanceStatus.COMPLETED, b'{"a": 1}')
    assert known.finished_at_ms == clock.now_ms()
    unknown = await service.get_instance_status("nobody")
    assert (unknown.found, unknown.status) == (False, None)


async def test_a_ring_between_looking_and_waiting_is_not_missed(clock: ManualClock) -> None:
    bell = DueBell()
    heard = bell.listen()
    bell.ring()
    assert await asyncio.wait_for(wait_until_rung(heard, clock, 60), DEADLINE_SECONDS)
    assert not await wait_until_rung(bell.listen(), clock, 0)


async def test_several_checkpoints_are_refused_with_one_of_them_and_it_is_named(service: InstanceService) -> None:
    for bad in (NewCheckpoint("", b""), NewCheckpoint("a\0"), NewCheckpoint("large", bytes(MAX_STATE_BYTES + 1))):
        with pytest.raises(InvalidInputError, match="checkpoint 2 of 2"):
            await service.checkpoints("instance-1", 1, [NewCheckpoint("good"), bad])
    half = bytes(MAX_STATE_BYTES // 2 + 1)
    with pytest.raises(InvalidInputError, match="2 checkpoints"):
        await service.checkpoints("instance-1", 1, [NewCheckpoint("good", half), NewCheckpoint("other", half)])
    assert await service.get_checkpoint("instance-1", "good") is None
