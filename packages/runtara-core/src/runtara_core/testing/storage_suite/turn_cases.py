"""Tenants take turns when not all that is due is claimed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from runtara_sdk.errors import ConcurrencyLimitError
from runtara_sdk.models import EventType

from runtara_core.models import CoreLimits, LaunchClaim, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LEASE_MS,
    LIMITS,
    START_MS,
    claim,
    create,
    limit_of,
    register,
    report,
)

_NOW_MS = START_MS + 1_000


async def _create(storage: Storage, tenant_id: str, count: int, *, image_id: str = "image", since_ms: int = 0) -> None:
    for number in range(count):
        await create(
            storage,
            f"{tenant_id}-{image_id}-{number:03}",
            tenant_id=tenant_id,
            image_id=image_id,
            now_ms=START_MS + since_ms + number,
        )


def _shares(claims: list[LaunchClaim]) -> dict[str, int]:
    return dict(Counter(claim.tenant_id for claim in claims))


class TurnCases:
    """`claim_launches` with several tenants."""

    async def test_a_small_tenant_waits_for_nobodys_backlog(self, storage: Storage) -> None:
        await _create(storage, "large", 30)
        limits = limit_of(4)
        running = await claim(storage, limits=limits, now_ms=_NOW_MS)
        assert _shares(running) == {"large": 4}
        await _create(storage, "small", 3, since_ms=100)
        ended = []
        for _ in range(5):
            first = running.pop(0)
            ended.append(first)
            await report(storage, LeaseKey(first.instance_id, first.epoch), EventType.COMPLETED)
            running += await claim(storage, limits=limits, now_ms=_NOW_MS)
        # Two of four places as soon as they are free, and then as fast as the other one.
        assert [each.tenant_id for each in ended + running][4:7] == ["small", "small", "large"]
        assert _shares(ended + running)["small"] == 3

    async def test_tenants_get_equal_shares_and_what_others_leave(self, storage: Storage) -> None:
        await _create(storage, "a", 20)
        await _create(storage, "b", 20, since_ms=100)
        await _create(storage, "c", 1, since_ms=200)
        claimed = await claim(storage, limits=limit_of(9), now_ms=_NOW_MS)
        assert _shares(claimed) == {"a": 4, "b": 4, "c": 1}
        # Within a tenant, and in the answer, the oldest come first.
        assert [each.instance_id for each in claimed] == [
            *(f"a-image-{number:03}" for number in range(4)),
            *(f"b-image-{number:03}" for number in range(4)),
            "c-image-000",
        ]

    async def test_the_bound_of_a_claim_is_shared_as_well(self, storage: Storage) -> None:
        await _create(storage, "a", 20)
        await _create(storage, "b", 20, since_ms=100)
        assert _shares(await claim(storage, limit=6, now_ms=_NOW_MS)) == {"a": 3, "b": 3}
        assert _shares(await claim(storage, limit=5, now_ms=_NOW_MS)) == {"a": 3, "b": 2}
        assert _shares(await claim(storage, limit=1, now_ms=_NOW_MS)) == {"b": 1}

    async def test_processes_of_their_own_count_for_their_tenant(self, storage: Storage) -> None:
        for number in range(3):
            await register(storage, f"own-{number}", tenant_id="a")
        await _create(storage, "a", 5)
        await _create(storage, "b", 5, since_ms=100)
        assert _shares(await claim(storage, limits=limit_of(7), now_ms=_NOW_MS)) == {"a": 1, "b": 3}

    async def test_one_tenant_alone_gets_all(self, storage: Storage) -> None:
        await _create(storage, "a", 4, image_id="one", since_ms=10)
        await _create(storage, "a", 4, image_id="two")
        claimed = await claim(storage, limits=limit_of(6), now_ms=_NOW_MS)
        # The oldest of all its images.
        assert [each.instance_id for each in claimed[:5]] == [
            *(f"a-two-{number:03}" for number in range(4)),
            "a-one-000",
        ]
        assert len(claimed) == 6

    async def test_a_wake_is_due_like_a_start(self, storage: Storage) -> None:
        await _create(storage, "b", 1)
        (first,) = await claim(storage, now_ms=_NOW_MS)
        await register(storage, first.instance_id, tenant_id="b", epoch=first.epoch, now_ms=_NOW_MS)
        await storage.sleep(first.instance_id, 1, "nap", b"", duration_ms=500, suspend_above_ms=0, now_ms=_NOW_MS)
        await _create(storage, "a", 9)
        asleep = await claim(storage, limit=2, now_ms=_NOW_MS)
        assert _shares(asleep) == {"a": 2}
        awake = await claim(storage, limit=1, now_ms=_NOW_MS + 500)
        assert [each.instance_id for each in awake] == [first.instance_id]

    async def test_a_recovery_needs_no_turn(self, storage: Storage) -> None:
        await _create(storage, "a", 6)
        held = await claim(storage, limits=limit_of(2), now_ms=_NOW_MS)
        await _create(storage, "b", 2, since_ms=100)
        found = await claim(storage, owner="environment-2", limits=limit_of(3), now_ms=_NOW_MS + LEASE_MS)
        assert {each.instance_id for each in held} < {each.instance_id for each in found}
        assert _shares(found) == {"a": 2, "b": 1}

    async def test_images_that_are_left_out_hold_up_nobody(self, storage: Storage) -> None:
        await _create(storage, "a", 20, image_id="elsewhere")
        await _create(storage, "a", 3, image_id="here", since_ms=50)
        await _create(storage, "b", 20, image_id="here", since_ms=100)
        claimed = await claim(storage, limits=limit_of(5), now_ms=_NOW_MS, without_images=("elsewhere",))
        assert _shares(claimed) == {"a": 3, "b": 2}
        assert {each.image_id for each in claimed} == {"here"}

    async def test_a_tenant_may_have_a_limit_of_its_own(self, storage: Storage) -> None:
        limits = CoreLimits(10, LIMITS.recovery, max_concurrent_instances_of_tenant=2)
        await _create(storage, "a", 5)
        await _create(storage, "b", 1, since_ms=100)
        assert _shares(await claim(storage, limits=limits, now_ms=_NOW_MS)) == {"a": 2, "b": 1}
        assert await claim(storage, limits=limits, now_ms=_NOW_MS) == []
        assert await claim(storage, instance_id="a-image-003", limits=limits, now_ms=_NOW_MS) == []
        with pytest.raises(ConcurrencyLimitError):
            await register(storage, "own-a", tenant_id="a", limits=limits)
        await register(storage, "own-b", tenant_id="b", limits=limits)

    async def test_concurrent_claims_share_fairly(self, storage: Storage) -> None:
        await _create(storage, "a", 20)
        await _create(storage, "b", 20, since_ms=100)
        batches = await asyncio.gather(
            *(claim(storage, owner=f"environment-{n}", limit=4, limits=limit_of(10), now_ms=_NOW_MS) for n in range(4))
        )
        claimed = [each for batch in batches for each in batch]
        assert len({each.instance_id for each in claimed}) == len(claimed) == await storage.count_running() == 10
        assert _shares(claimed) == {"a": 5, "b": 5}

    async def test_each_of_many_tenants_comes_round(self, storage: Storage) -> None:
        await _create(storage, "busy", 9)
        await asyncio.gather(
            *(
                create(storage, f"of-{number:03}", tenant_id=f"tenant-{number:03}", now_ms=_NOW_MS)
                for number in range(520)
            )
        )
        seen: Counter[str] = Counter()
        while claims := await claim(storage, limit=100, now_ms=_NOW_MS):
            seen.update(_shares(claims))
        assert seen == {"busy": 9, **{f"tenant-{number:03}": 1 for number in range(520)}}
