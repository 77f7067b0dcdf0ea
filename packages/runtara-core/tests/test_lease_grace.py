"""Leases that nobody could renew, because core or its database was away: they are left to their owners for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from runtara_core.due import DueBell
from runtara_core.lease_grace import LeaseGrace
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits, LeaseKey, NewInstance
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.errors import StorageError
from runtara_sdk.testing.clock import ManualClock

LEASE_MS = 12_000


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = await open_storage(f"sqlite:///{tmp_path}/runtara.db")
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def service(storage: Storage, clock: ManualClock, *, is_new: bool = False) -> ManagementService:
    grace = LeaseGrace(clock, is_new=is_new)
    return ManagementService(storage, clock, CoreLimits(), DueBell(), grace=grace)


async def claim(core: ManagementService, owner: str) -> list[LeaseKey]:
    claims = await core.claim_launches(owner, limit=10, lease_ms=LEASE_MS)
    return [LeaseKey(claim.instance_id, claim.epoch) for claim in claims]


async def create(core: ManagementService, instance_id: str) -> None:
    await core.create_instance(NewInstance(instance_id, "tenant", "image", b"{}"))


async def test_a_core_that_was_away_lets_owners_renew_before_others_claim(storage: Storage, clock: ManualClock) -> None:
    before = service(storage, clock)
    await create(before, "alive")
    await create(before, "dead")
    alive, dead = await claim(before, "owner")
    clock.advance(10 * LEASE_MS)
    core = service(storage, clock, is_new=True)
    await create(core, "new")
    assert await claim(core, "other") == [LeaseKey("new", 1)], "what is merely due waits for nobody"
    assert await core.renew_leases("owner", [alive], lease_ms=LEASE_MS) == []
    clock.advance(LEASE_MS // 2 - 1)
    assert await claim(core, "other") == []
    clock.advance(1)
    assert await claim(core, "other") == [LeaseKey(dead.instance_id, dead.epoch + 1)]


async def test_what_is_given_up_is_handed_out_at_once(storage: Storage, clock: ManualClock) -> None:
    before = service(storage, clock)
    await create(before, "instance")
    assert await claim(before, "dead") == [LeaseKey("instance", 1)]
    for ended_long_ago in (False, True):
        core = service(storage, clock, is_new=True)
        assert await core.expire_leases("dead" if not ended_long_ago else "next") == 1
        (key,) = await claim(core, "next" if not ended_long_ago else "last")
        clock.advance(10 * LEASE_MS)
    assert key.epoch == 3


@pytest.mark.parametrize("verb", ["renew_leases", "claim_launches"])
async def test_a_database_that_was_away_costs_no_owner_its_lease(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    core = service(storage, clock)
    await create(core, "instance")
    (key,) = await claim(core, "owner")
    clock.advance(LEASE_MS)
    with monkeypatch.context() as patch:

        async def fail(*_: object, **__: object) -> None:
            raise StorageError("the database is away")

        patch.setattr(storage, verb, fail)
        with pytest.raises(StorageError):
            await (core.renew_leases("owner", [key], lease_ms=LEASE_MS) if verb == "renew_leases" else claim(core, "a"))
    assert await claim(core, "other") == []
    assert await core.renew_leases("owner", [key], lease_ms=LEASE_MS) == []
    clock.advance(LEASE_MS - 1)
    assert await claim(core, "other") == []
    clock.advance(1)
    assert await claim(core, "other") == [LeaseKey("instance", 2)]


async def test_a_machine_that_was_suspended_takes_nothing_from_others(storage: Storage, clock: ManualClock) -> None:
    core = service(storage, clock)
    await create(core, "instance")
    (key,) = await claim(core, "owner")
    polls = [
        asyncio.create_task(core.claim_launches(name, limit=1, lease_ms=LEASE_MS, wait_ms=6_000))
        for name in ("owner", "other")
    ]
    for _ in range(6):  # behind what the polls ask of the two threads of the database
        await storage.check_health()
        await core.renew_leases("nobody", [], lease_ms=1)
    clock.advance(3_600_000)
    assert await asyncio.wait_for(asyncio.gather(*polls), 10) == [[], []]
    assert await claim(core, "other") == []
    assert await core.renew_leases("owner", [key], lease_ms=LEASE_MS) == []


async def test_a_clock_that_is_set_back_makes_the_grace_no_longer(clock: ManualClock) -> None:
    grace = LeaseGrace(clock, is_new=True)
    clock.advance(-3_600_000)
    assert grace.ended_by_ms(clock.now_ms(), LEASE_MS) == 0
    clock.advance(LEASE_MS // 2)
    assert grace.ended_by_ms(clock.now_ms(), LEASE_MS) == clock.now_ms()


async def test_what_the_database_answers_late_without_an_error_takes_no_lease(
    storage: Storage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = service(storage, clock)
    await create(core, "instance")
    (key,) = await claim(core, "owner")
    claim_launches = storage.claim_launches

    async def claim_late(*arguments: Any, **options: Any) -> Any:
        found = await claim_launches(*arguments, **options)
        clock.advance(LEASE_MS + 1_000)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(storage, "claim_launches", claim_late)
        assert await core.claim_launches("other", limit=10, lease_ms=LEASE_MS, wait_ms=LEASE_MS // 2) == []
    assert await claim(core, "other") == []
    assert await core.renew_leases("owner", [key], lease_ms=LEASE_MS) == []
