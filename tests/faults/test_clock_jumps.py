"""The server's clock jumps by hours, forward and back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits, ExitReport, LaunchClaim, LeaseKey, NewInstance, RecoveryPolicy
from runtara_core.security import TokenAuthority
from runtara_core.storages import open_storage
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidStateError, StaleEpochError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, SleepState, TerminationReason
from runtara_sdk.testing.clock import ManualClock

HOUR_MS = 3_600_000
LEASE_MS = 30_000


class JumpingClock(Clock):
    """As the machine's: waits follow the monotonic clock, whatever happens to the time of day."""

    def __init__(self) -> None:
        self.offset_ms = 0
        self.sleepers = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms

    async def sleep(self, seconds: float) -> None:
        self.sleepers += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.sleepers -= 1


@dataclass
class Core:
    """Both services on one storage."""

    instances: InstanceService
    management: ManagementService


@pytest.fixture
def clock() -> Clock:
    return ManualClock()


@pytest.fixture
async def core(tmp_path: Path, clock: Clock) -> AsyncIterator[Core]:
    storage = await open_storage(f"sqlite:///{tmp_path}/core.db")
    await storage.open()
    # Each jump forward ends every lease; so many in a row are no crash loop here.
    limits = CoreLimits(max_concurrent_instances=100, recovery=RecoveryPolicy(max_recoveries=1_000))
    due = DueBell()
    tokens = TokenAuthority(storage.credentials, clock)
    yield Core(InstanceService(storage, clock, limits, due), ManagementService(storage, clock, limits, due, tokens))
    await storage.close()


@dataclass
class Guest:
    """The process of one launch: checkpoint, sleep an hour, checkpoint, complete. Steps on when asked."""

    core: Core
    claim: LaunchClaim
    step: int = 0
    done: list[str] = field(default_factory=list)

    async def advance(self) -> bool:
        """Whether the process is still there."""
        service, instance_id, epoch = self.core.instances, self.claim.instance_id, self.claim.epoch
        try:
            if self.step == 0:
                await service.register(instance_id, "tenant", epoch=epoch, checkpoint_id=None)
            elif self.step == 1:
                await service.checkpoint(instance_id, epoch, "before", b"%d" % epoch)
            elif self.step == 2:
                outcome = await service.sleep(
                    instance_id, epoch, "nap", b"", duration_ms=HOUR_MS, suspend_above_ms=60_000
                )
                if outcome.state is SleepState.WAIT:
                    return True
                if outcome.state is SleepState.SUSPENDED:
                    return False
            elif self.step == 3:
                await service.checkpoint(instance_id, epoch, "after", b"%d" % epoch)
            else:
                await service.report_event(instance_id, epoch, InstanceEvent(EventType.COMPLETED, b"{}"))
                return False
        except (StaleEpochError, InvalidStateError):
            return False
        self.step += 1
        return True


async def test_jumps_lose_no_sleep_and_launch_nothing_twice(core: Core, clock: ManualClock, seed: int) -> None:
    """Two environments, guests that die and live on, and a clock that nobody can trust."""
    draw = random.Random(seed)
    names = [f"instance-{number}" for number in range(6)]
    for name in names:
        await core.management.create_instance(NewInstance(name, "tenant", "image", b"{}"))
    guests: list[Guest] = []
    epochs: dict[str, list[int]] = {name: [] for name in names}

    async def launch(owner: str) -> None:
        for claim in await core.management.claim_launches(owner, limit=3, lease_ms=LEASE_MS):
            assert claim.epoch > max(epochs[claim.instance_id], default=0), "an epoch was handed out twice"
            epochs[claim.instance_id].append(claim.epoch)
            guests.append(Guest(core, claim))

    async def advance(guest: Guest) -> None:
        before = guest.step
        alive = await guest.advance()
        newest = epochs[guest.claim.instance_id][-1]
        if guest.step > before and guest.step > 1:
            assert guest.claim.epoch == newest, "a launch that was replaced has advanced the instance"
        if not alive:
            guests.remove(guest)
            key = LeaseKey(guest.claim.instance_id, guest.claim.epoch)
            decision = await core.management.report_exit(key, ExitReport(TerminationReason.CRASHED, exit_code=0))
            assert decision.stale or decision.status is not InstanceStatus.FAILED

    right_time_ms = clock.now_ms()
    for _ in range(400):
        right_time_ms += 1_000
        clock.advance(1_000)
        match draw.randrange(10):
            case 0:
                clock.advance(draw.randint(-5, 5) * HOUR_MS)
            case 1 | 2 | 3:
                await launch(draw.choice(("one", "other")))
            case 4:
                owner = draw.choice(("one", "other"))
                keys = [LeaseKey(guest.claim.instance_id, guest.claim.epoch) for guest in guests]
                await core.management.renew_leases(owner, keys, lease_ms=LEASE_MS)
            case _ if guests:
                await advance(draw.choice(guests))

    # The clock is put right, and moved past everything that was fixed while it was wrong.
    clock.advance(right_time_ms - clock.now_ms())
    for _ in range(100):
        clock.advance(HOUR_MS)
        await launch("one")
        while guests and any([await _moved(guest, advance) for guest in tuple(guests)]):
            pass
        found = [await core.management.get_instance(name) for name in names]
        if all(each is not None and each.status is InstanceStatus.COMPLETED for each in found):
            break
    for name in names:
        instance = await core.management.get_instance(name)
        assert instance is not None
        assert instance.status is InstanceStatus.COMPLETED, instance
        for checkpoint_id in ("before", "after"):
            record = await core.management.get_checkpoint(name, checkpoint_id)
            assert record is not None
            assert int(record.state) in epochs[name]


async def _moved(guest: Guest, advance: Callable[[Guest], Awaitable[None]]) -> bool:
    before = guest.step
    await advance(guest)
    return guest.step > before


async def test_a_sleep_that_has_ended_stays_so_when_the_clock_is_set_back(core: Core, clock: ManualClock) -> None:
    registration = await core.instances.register("sleeper", "tenant", epoch=None, checkpoint_id=None)

    async def sleep() -> SleepState:
        outcome = await core.instances.sleep(
            "sleeper", registration.epoch, "nap", b"", duration_ms=HOUR_MS, suspend_above_ms=None
        )
        return outcome.state

    assert await sleep() is SleepState.WAIT
    clock.advance(-5 * HOUR_MS)
    assert await sleep() is SleepState.WAIT
    clock.advance(7 * HOUR_MS)
    assert await sleep() is SleepState.DONE
    clock.advance(-7 * HOUR_MS)
    assert await sleep() is SleepState.DONE


async def test_a_lease_taken_in_the_future_comes_back_with_its_renewal(core: Core, clock: ManualClock) -> None:
    await core.management.create_instance(NewInstance("leased", "tenant", "image", b"{}"))
    clock.advance(6 * HOUR_MS)
    (claim,) = await core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS)
    clock.advance(-6 * HOUR_MS)
    key = LeaseKey("leased", claim.epoch)
    assert not await core.management.renew_leases("one", [key], lease_ms=LEASE_MS)
    instance = await core.management.get_instance("leased")
    assert instance is not None
    assert instance.lease_until_ms == clock.now_ms() + LEASE_MS
    clock.advance(LEASE_MS + 1)
    (again,) = await core.management.claim_launches("other", limit=1, lease_ms=LEASE_MS)
    assert again.epoch > claim.epoch
    assert await core.management.renew_leases("one", [key], lease_ms=LEASE_MS) == [key]
    with pytest.raises(StaleEpochError):
        await core.instances.checkpoint("leased", claim.epoch, "late", b"")


class TestWaits:
    @pytest.fixture
    def clock(self) -> JumpingClock:
        return JumpingClock()

    @pytest.mark.parametrize("jump_ms", [-5 * HOUR_MS, 5 * HOUR_MS], ids=["back", "forward"])
    async def test_a_long_poll_ends_in_its_time(self, core: Core, clock: JumpingClock, jump_ms: int) -> None:
        poll = asyncio.create_task(core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS, wait_ms=1_000))
        await asyncio.sleep(0)
        clock.offset_ms += jump_ms
        core.management._due.ring()
        assert await asyncio.wait_for(poll, 60) == []

    async def test_a_suspended_host_finds_its_own_launches_again_before_they_are_handed_out(
        self, core: Core, clock: JumpingClock
    ) -> None:
        await core.management.create_instance(NewInstance("running", "tenant", "image", b"{}"))
        (claim,) = await core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS)
        poll = asyncio.create_task(core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS, wait_ms=25_000))
        while not clock.sleepers:
            await asyncio.sleep(0)
        clock.offset_ms += HOUR_MS
        core.management._due.ring()
        assert await asyncio.wait_for(poll, 60) == []
        key = LeaseKey("running", claim.epoch)
        assert await core.management.renew_leases("one", [key], lease_ms=LEASE_MS) == []
        assert await core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS) == []

    async def test_a_long_poll_still_finds_what_becomes_due(self, core: Core, clock: JumpingClock) -> None:
        poll = asyncio.create_task(core.management.claim_launches("one", limit=1, lease_ms=LEASE_MS, wait_ms=20_000))
        await asyncio.sleep(0)
        clock.offset_ms -= 5 * HOUR_MS
        await core.management.create_instance(NewInstance("due", "tenant", "image", b"{}"))
        (claim,) = await asyncio.wait_for(poll, 60)
        assert claim.instance_id == "due"

    async def test_a_sleep_in_the_server_notices_that_its_deadline_has_passed(
        self, core: Core, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("runtara_core.instance_service._LONGEST_WAIT_MS", 50)
        registration = await core.instances.register("sleeper", "tenant", epoch=None, checkpoint_id=None)
        sleep = asyncio.create_task(
            core.instances.sleep_in_server("sleeper", registration.epoch, "nap", b"", duration_ms=HOUR_MS)
        )
        while await core.instances.get_checkpoint("sleeper", "nap") is None:
            pass
        clock.offset_ms += 2 * HOUR_MS
        await asyncio.wait_for(sleep, 60)
