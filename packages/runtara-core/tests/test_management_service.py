"""Core's management verbs: how long a claim waits, what wakes it, and how large a page is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.management_service import MAX_CLAIM_WAIT_MS, MAX_SIGNAL_BYTES, ManagementService
from runtara_core.models import (
    CheckpointFilter,
    CoreLimits,
    EventFilter,
    ExitReport,
    InstanceFilter,
    LeaseKey,
    NewInstance,
)
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import InvalidInputError, InvalidStateError
from runtara_sdk.models import CustomSignal, EventType, InstanceEvent, InstanceStatus, SignalType, TerminationReason
from runtara_sdk.testing.clock import ManualClock

LEASE_MS = 30_000
DEADLINE_SECONDS = 10.0


@dataclass
class Core:
    """A management service and what is around it."""

    storage: Storage
    clock: ManualClock
    service: ManagementService
    instances: InstanceService

    async def create(self, instance_id: str = "instance-1", *, quietly: bool = False) -> None:
        new = NewInstance(instance_id, "tenant-1", "image-1", b"{}")
        if quietly:  # as through another core on the same database
            await self.storage.create_instance(new, now_ms=self.clock.now_ms())
        else:
            await self.service.create_instance(new)

    async def claim(self, *, wait_ms: int = 0, owner: str = "owner-1", **options: Any) -> list[str]:
        claims = await self.service.claim_launches(owner, limit=10, lease_ms=LEASE_MS, wait_ms=wait_ms, **options)
        return [claim.instance_id for claim in claims]

    async def waiting_claim(self, *, wait_ms: int = 60_000, **options: Any) -> asyncio.Task[list[str]]:
        """A claim that has found nothing and waits."""
        task = asyncio.create_task(self.claim(wait_ms=wait_ms, **options))
        await self.settle()
        assert not task.done()
        return task

    async def settle(self) -> None:
        """Let the tasks that can go on go on: work behind theirs on both threads of the database, a few times."""
        for _ in range(6):
            await self.storage.check_health()
            await self.storage.renew_leases("nobody", [], lease_ms=1, now_ms=0)


async def soon(task: asyncio.Task[list[str]]) -> list[str]:
    return await asyncio.wait_for(task, DEADLINE_SECONDS)


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    storage = await open_storage(f"sqlite:///{tmp_path}/runtara.db")
    await storage.open()
    clock, due, limits = ManualClock(), DueBell(), CoreLimits(max_concurrent_instances=2)
    yield Core(
        storage,
        clock,
        ManagementService(storage, clock, limits, due),
        InstanceService(storage, clock, limits, due),
    )
    await storage.close()


async def test_payloads_of_signals_are_bounded(core: Core) -> None:
    await core.create()
    huge = bytes(MAX_SIGNAL_BYTES + 1)
    with pytest.raises(InvalidInputError, match="payload has"):
        await core.service.send_signal("instance-1", SignalType.PAUSE, huge)
    with pytest.raises(InvalidInputError, match="payload has"):
        await core.service.send_custom_signal("instance-1", CustomSignal("gate", huge))
    await core.service.send_custom_signal("instance-1", CustomSignal("gate", bytes(MAX_SIGNAL_BYTES)))


async def test_without_waiting_a_claim_answers_at_once(core: Core) -> None:
    assert await core.claim() == []
    await core.create()
    assert await core.claim() == ["instance-1"]


async def test_a_creation_wakes_the_claim_that_waits(core: Core) -> None:
    task = await core.waiting_claim()
    await core.create()
    assert await soon(task) == ["instance-1"]


async def test_a_resume_wakes_the_claim_that_waits(core: Core) -> None:
    await core.create()
    await core.service.send_signal("instance-1", SignalType.PAUSE)
    task = await core.waiting_claim()
    await core.service.send_signal("instance-1", SignalType.RESUME)
    assert await soon(task) == ["instance-1"]


async def test_a_crash_wakes_the_claim_that_waits(core: Core) -> None:
    await core.create()
    await core.claim()
    task = await core.waiting_claim()
    await core.service.report_exit(LeaseKey("instance-1", 1), ExitReport(TerminationReason.CRASHED, -9))
    assert await soon(task) == ["instance-1"]


async def test_a_claim_wakes_at_the_due_time(core: Core) -> None:
    await core.create()
    await core.claim()
    await core.instances.register("instance-1", "tenant-1", epoch=1, checkpoint_id=None)
    await core.instances.sleep("instance-1", 1, "rest", b"", duration_ms=3_000, suspend_above_ms=0)
    await core.service.report_exit(LeaseKey("instance-1", 1), ExitReport(TerminationReason.CRASHED, 0))
    task = await core.waiting_claim()
    core.clock.advance(2_999)
    await core.settle()
    assert not task.done()
    core.clock.advance(1)
    assert await soon(task) == ["instance-1"]


async def test_what_gets_due_while_a_claim_looks_is_claimed_at_once(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    await core.create()
    await core.claim()
    await core.instances.register("instance-1", "tenant-1", epoch=1, checkpoint_id=None)
    await core.instances.sleep("instance-1", 1, "rest", b"", duration_ms=3_000, suspend_above_ms=0)
    await core.service.report_exit(LeaseKey("instance-1", 1), ExitReport(TerminationReason.CRASHED, 0))
    core.clock.advance(2_999)
    next_wake_at_ms = core.storage.next_wake_at_ms

    async def take_a_while(**options: Any) -> int | None:
        core.clock.advance(2)
        return await next_wake_at_ms(**options)

    monkeypatch.setattr(core.storage, "next_wake_at_ms", take_a_while)
    assert await soon(asyncio.create_task(core.claim(wait_ms=60_000))) == ["instance-1"]


async def test_a_claim_finds_what_another_core_created(core: Core) -> None:
    task = await core.waiting_claim()
    await core.create(quietly=True)
    core.clock.advance(5_000)
    assert await soon(task) == ["instance-1"]


async def test_a_lease_that_ends_wakes_the_claim(core: Core) -> None:
    await core.create()
    await core.claim()
    task = await core.waiting_claim(owner="owner-2")
    for _ in range(LEASE_MS // 1_000 - 1):
        core.clock.advance(1_000)
        await core.settle()
    assert not task.done()
    core.clock.advance(1_000)
    assert await soon(task) == ["instance-1"]


async def test_at_the_limit_a_claim_waits_for_a_place(core: Core) -> None:
    for number in (1, 2, 3):
        await core.create(f"instance-{number}")
    assert await core.claim() == ["instance-1", "instance-2"]
    task = await core.waiting_claim()
    await core.instances.register("instance-1", "tenant-1", epoch=1, checkpoint_id=None)
    await core.instances.report_event("instance-1", 1, InstanceEvent(EventType.COMPLETED))
    assert await soon(task) == ["instance-3"]


async def test_at_the_limit_a_place_freed_elsewhere_is_found(core: Core) -> None:
    for number in (1, 2, 3):
        await core.create(f"instance-{number}")
    await core.claim()
    task = await core.waiting_claim()
    await core.storage.report_exit(
        LeaseKey("instance-1", 1),
        ExitReport(TerminationReason.TIMEOUT),
        limits=CoreLimits(),
        now_ms=core.clock.now_ms(),
    )
    core.clock.advance(1_000)
    assert await soon(task) == ["instance-3"]


async def test_a_wait_ends_and_is_bounded(core: Core) -> None:
    task = await core.waiting_claim(wait_ms=10**9)
    for _ in range(MAX_CLAIM_WAIT_MS // 1_000):
        assert not task.done()
        core.clock.advance(1_000)
        await core.settle()
    assert await soon(task) == []


async def test_one_instance_alone_can_be_claimed(core: Core) -> None:
    await core.create("instance-1")
    await core.create("instance-2")
    assert await core.claim(instance_id="instance-2") == ["instance-2"]
    assert await core.claim(instance_id="instance-2") == []
    assert await core.claim(instance_id="nobody") == []


async def test_what_else_is_due_makes_the_claim_of_one_instance_no_later(core: Core) -> None:
    await core.create("instance-1")
    await core.create("left behind")
    assert await core.claim(instance_id="instance-1") == ["instance-1"]
    await core.instances.register("instance-1", "tenant-1", epoch=1, checkpoint_id=None)
    await core.instances.sleep("instance-1", 1, "rest", b"", duration_ms=3_300, suspend_above_ms=0)
    await core.service.report_exit(LeaseKey("instance-1", 1), ExitReport(TerminationReason.CRASHED, 0))
    task = await core.waiting_claim(instance_id="instance-1")
    for _ in range(3):
        core.clock.advance(1_000)
        await core.settle()
    core.clock.advance(300)
    assert await soon(task) == ["instance-1"]


async def test_a_dead_owner_gets_nothing_any_more(core: Core) -> None:
    task = await core.waiting_claim(owner="dead")
    assert await core.service.expire_leases("dead") == 0
    with pytest.raises(InvalidStateError, match="declared dead"):
        await soon(task)
    await core.create()
    with pytest.raises(InvalidStateError):
        await core.claim(owner="dead")
    assert await core.claim(owner="alive") == ["instance-1"]


async def test_what_a_dead_owner_held_is_due_at_once(core: Core) -> None:
    await core.create()
    assert await core.claim(owner="dead") == ["instance-1"]
    assert await core.service.expire_leases("dead") == 1
    assert await core.claim(owner="alive") == ["instance-1"]
    instance = await core.service.get_instance("instance-1")
    assert instance is not None
    assert (instance.epoch, instance.lease_owner) == (2, "alive")


async def test_pages_are_bounded(core: Core) -> None:
    await core.create()
    await core.claim()
    await core.instances.register("instance-1", "tenant-1", epoch=1, checkpoint_id=None)
    for number in range(3):
        await core.instances.checkpoint("instance-1", 1, f"step-{number}", b"state")
    page = await core.service.list_checkpoints("instance-1", CheckpointFilter(limit=2))
    assert ([item.checkpoint_id for item in page.checkpoints], page.total_count) == (["step-2", "step-1"], 3)
    page = await core.service.list_checkpoints("instance-1", CheckpointFilter(limit=10**6, offset=2))
    assert [item.checkpoint_id for item in page.checkpoints] == ["step-0"]
    assert (await core.service.list_instances(InstanceFilter(limit=10**6))).total_count == 1
    assert (await core.service.list_events("instance-1", EventFilter(limit=10**6))).total_count == 1
    for call in (
        core.service.list_checkpoints("instance-1", CheckpointFilter(limit=-1)),
        core.service.list_checkpoints("instance-1", CheckpointFilter(offset=-1)),
        core.service.list_instances(InstanceFilter(limit=-1)),
        core.service.list_events("instance-1", EventFilter(offset=-1)),
    ):
        with pytest.raises(InvalidInputError):
            await call


async def test_health(core: Core) -> None:
    await core.create()
    await core.claim()
    core.clock.advance(1_234)
    health = await core.service.health_check()
    assert (health.healthy, health.uptime_ms, health.active_instances) == (True, 1_234, 1)
    await core.storage.close()
    assert not (await core.service.health_check()).healthy


@pytest.mark.parametrize("reason", [TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED])
async def test_ends_with_the_environment_count_for_nothing(core: Core, reason: TerminationReason) -> None:
    await core.create()
    for epoch in range(1, CoreLimits().recovery.max_recoveries + 3):
        assert await core.claim() == ["instance-1"]
        decision = await core.service.report_exit(LeaseKey("instance-1", epoch), ExitReport(reason, 143))
        assert (decision.status, decision.wake_at_ms) == (InstanceStatus.SUSPENDED, core.clock.now_ms())
    instance = await core.service.get_instance("instance-1")
    assert instance is not None
    assert (instance.recovery_attempts, instance.termination_reason) == (0, reason)
