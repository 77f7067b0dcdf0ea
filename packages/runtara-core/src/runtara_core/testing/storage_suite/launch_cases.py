"""Claims, and launches that fail."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InstanceNotFoundError
from runtara_sdk.models import EventType, InstanceStatus, SignalType, TerminationReason

from runtara_core.models import MAX_INLINE_INPUT_BYTES, InputPart, LaunchClaim, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LEASE_MS,
    LIMITS,
    START_MS,
    TENANT,
    claim,
    create,
    get,
    launch,
    launched,
    limit_of,
    register,
    report,
    send,
)


class LaunchCases:
    """`claim_launches`, `report_launch_failure`, `next_wake_at_ms`."""

    async def test_nothing_is_due_in_an_empty_storage(self, storage: Storage) -> None:
        assert await claim(storage) == []
        assert await storage.next_wake_at_ms() is None
        assert await claim(storage, instance_id="nobody") == []

    async def test_a_claim_carries_what_the_launch_needs(self, storage: Storage) -> None:
        await create(storage, input_envelope=b'{"data":1}')
        (claimed,) = await claim(storage, now_ms=START_MS + 2)
        assert claimed == LaunchClaim(
            instance_id="managed-1",
            tenant_id=TENANT,
            epoch=1,
            image_id="image-1",
            input=b'{"data":1}',
            launch_options=b'{"timeout_ms":5}',
            checkpoint_id=None,
            lease_until_ms=START_MS + 2 + LEASE_MS,
        )
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.RUNNING
        assert (instance.lease_owner, instance.lease_until_ms) == ("environment-1", claimed.lease_until_ms)
        assert instance.wake_at_ms is None
        # A launch counts as a contact, or a monitor would judge it by an older one.
        assert instance.last_contact_at_ms == START_MS + 2
        assert await storage.next_wake_at_ms() == claimed.lease_until_ms

    async def test_a_launch_is_claimed_once(self, storage: Storage) -> None:
        await create(storage)
        assert len(await claim(storage)) == 1
        assert await claim(storage, owner="environment-2") == []

    async def test_the_oldest_are_claimed_first(self, storage: Storage) -> None:
        for number in (3, 1, 2):
            await create(storage, f"managed-{number}", now_ms=START_MS + number)
        claimed = await claim(storage, limit=2, now_ms=START_MS + 9)
        assert [each.instance_id for each in claimed] == ["managed-1", "managed-2"]
        assert await claim(storage, limit=0, now_ms=START_MS + 9) == []

    async def test_nothing_is_claimed_before_its_time(self, storage: Storage) -> None:
        await create(storage, now_ms=START_MS)
        assert await claim(storage, now_ms=START_MS - 1) == []
        assert await claim(storage, instance_id="managed-1", now_ms=START_MS - 1) == []

    async def test_one_instance_can_be_claimed_by_name(self, storage: Storage) -> None:
        await create(storage, "managed-1")
        await create(storage, "managed-2")
        claimed = await claim(storage, instance_id="managed-2")
        assert [each.instance_id for each in claimed] == ["managed-2"]
        assert await claim(storage, instance_id="managed-2") == []

    async def test_instances_of_their_own_are_never_claimed(self, storage: Storage) -> None:
        await register(storage)
        await storage.sleep("own-1", 1, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        assert await claim(storage, now_ms=START_MS + 10**9) == []
        assert await claim(storage, instance_id="own-1", now_ms=START_MS + 10**9) == []
        assert await storage.next_wake_at_ms() is None

    async def test_the_limit_leaves_the_rest_due(self, storage: Storage) -> None:
        await register(storage, "own-1")
        for number in range(3):
            await create(storage, f"managed-{number}")
        assert len(await claim(storage, limits=limit_of(3))) == 2
        assert await claim(storage, limits=limit_of(3)) == []
        assert await storage.count_running() == 3
        assert await storage.next_wake_at_ms() == START_MS
        await report(storage, LeaseKey("own-1", 1), EventType.COMPLETED)
        assert len(await claim(storage, limits=limit_of(3))) == 1

    async def test_large_inputs_are_handed_out_in_several_claims(self, storage: Storage) -> None:
        large = b'"' + b"x" * (11 * 1024 * 1024) + b'"'
        for number in range(5):
            await create(storage, f"managed-{number}", input_envelope=large)
        sizes = []
        while claims := await claim(storage):
            sizes.append(len(claims))
        assert sizes == [3, 2]

    async def test_an_input_that_fits_no_answer_is_read_in_parts(self, storage: Storage) -> None:
        long = b'"' + bytes(range(33, 127)) * 200_000 + b'"'
        assert len(long) > MAX_INLINE_INPUT_BYTES
        await create(storage, "managed-1", input_envelope=long)
        [launch] = await claim(storage)
        assert launch.input_bytes == len(long) or (launch.input_bytes, launch.input) == (None, long)
        instance = await storage.get_instance("managed-1")
        assert instance is not None
        assert instance.input_bytes == len(long) or (instance.input_bytes, instance.input) == (None, long)
        for offset, limit in ((0, 10), (len(long) - 3, 10), (5_000_000, 3_000_000), (len(long), 10)):
            part = await storage.read_input("managed-1", offset=offset, limit_bytes=limit)
            assert part == InputPart(long[offset : offset + limit], len(long))
        assert await storage.read_input("nobody", offset=0, limit_bytes=10) is None

    async def test_a_failed_launch_is_due_again_later(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        decision = await storage.report_launch_failure(
            key, "no such file", permanent=False, limits=LIMITS, now_ms=START_MS
        )
        assert decision.status is InstanceStatus.PENDING
        assert decision.wake_at_ms is not None
        assert decision.wake_at_ms > START_MS
        instance = await get(storage, "managed-1")
        assert (instance.wake_at_ms, instance.error) == (decision.wake_at_ms, "no such file")
        assert (instance.lease_owner, instance.lease_until_ms) == (None, None)
        (claimed,) = await claim(storage, now_ms=decision.wake_at_ms)
        assert (claimed.epoch, claimed.failed_launches) == (2, 1)

    async def test_a_failed_wake_keeps_the_instance_suspended(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        again = await launch(storage, now_ms=START_MS + 9, registered=False)
        decision = await storage.report_launch_failure(
            again, "no memory", permanent=False, limits=LIMITS, now_ms=START_MS + 9
        )
        assert decision.status is InstanceStatus.SUSPENDED

    async def test_a_permanent_failure_fails_at_once(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        decision = await storage.report_launch_failure(
            key, "image deleted", permanent=True, limits=LIMITS, now_ms=START_MS
        )
        assert (decision.status, decision.wake_at_ms) == (InstanceStatus.FAILED, None)
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.LAUNCH_FAILED
        assert instance.error == "image deleted"

    async def test_an_instance_waits_however_often_its_host_cannot_launch_it(self, storage: Storage) -> None:
        await create(storage)
        now_ms = START_MS
        waits = []
        for _ in range(20):
            (claimed,) = await claim(storage, now_ms=now_ms)
            decision = await storage.report_launch_failure(
                LeaseKey("managed-1", claimed.epoch), "disk full", permanent=False, limits=LIMITS, now_ms=now_ms
            )
            assert (decision.status, decision.stale) == (InstanceStatus.PENDING, False)
            assert decision.wake_at_ms is not None
            waits.append(decision.wake_at_ms - now_ms)
            now_ms = decision.wake_at_ms
        assert waits == sorted(waits)
        assert 0 < waits[0] < waits[-1] == LIMITS.recovery.backoff_cap_ms
        assert (await get(storage, "managed-1")).error == "disk full"

    async def test_what_one_host_lacks_is_due_at_once_for_another(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        for _ in range(3):
            decision = await storage.report_launch_failure(
                key, "no artifact", permanent=False, limits=LIMITS, now_ms=START_MS, is_due=True
            )
            assert (decision.status, decision.wake_at_ms) == (InstanceStatus.PENDING, START_MS)
            assert (await get(storage, "managed-1")).error == "no artifact"
            (claimed,) = await claim(storage, owner="environment-2")
            assert claimed.failed_launches == 0
            key = LeaseKey("managed-1", claimed.epoch)

    async def test_a_claim_leaves_images_to_others(self, storage: Storage) -> None:
        await create(storage, "managed-1", image_id="here")
        await create(storage, "managed-2", image_id="elsewhere")
        without = ("elsewhere", "unknown")
        assert await storage.next_wake_at_ms(without_images=without) == START_MS
        assert [each.instance_id for each in await claim(storage, without_images=without)] == ["managed-1"]
        assert await storage.next_wake_at_ms(without_images=without) == START_MS + LEASE_MS
        assert await claim(storage, instance_id="managed-2", without_images=without) == []
        assert [each.instance_id for each in await claim(storage, without_images=("here",))] == ["managed-2"]
        # The leases of the dead as well.
        later_ms = START_MS + LEASE_MS
        assert await storage.next_wake_at_ms(without_images=("here", "elsewhere")) is None
        found = await claim(storage, owner="environment-2", now_ms=later_ms, without_images=without)
        assert [each.instance_id for each in found] == ["managed-1"]

    async def test_a_registration_forgets_failed_launches(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        decision = await storage.report_launch_failure(key, "busy", permanent=False, limits=LIMITS, now_ms=START_MS)
        assert decision.wake_at_ms is not None
        again = await launch(storage, now_ms=decision.wake_at_ms)
        await report(storage, again, EventType.SUSPENDED)
        await send(storage, "managed-1", SignalType.RESUME, now_ms=decision.wake_at_ms)
        (claimed,) = await claim(storage, now_ms=decision.wake_at_ms)
        assert claimed.failed_launches == 0

    async def test_a_launch_failure_of_the_past_changes_nothing(self, storage: Storage) -> None:
        key = await launched(storage)
        decision = await storage.report_launch_failure(
            LeaseKey("managed-1", key.epoch - 1), "late", permanent=True, limits=LIMITS, now_ms=START_MS
        )
        assert decision.stale
        assert (await get(storage, "managed-1")).status is InstanceStatus.RUNNING
        with pytest.raises(InstanceNotFoundError):
            await storage.report_launch_failure(
                LeaseKey("nobody", 1), "", permanent=True, limits=LIMITS, now_ms=START_MS
            )

    async def test_a_cancelled_launch_that_fails_is_cancelled(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        await send(storage, "managed-1", SignalType.CANCEL)
        decision = await storage.report_launch_failure(key, "busy", permanent=True, limits=LIMITS, now_ms=START_MS)
        assert decision.status is InstanceStatus.CANCELLED

    async def test_a_given_up_launch_that_lives_after_all_gets_a_short_lease(self, storage: Storage) -> None:
        key = await launched(storage, registered=False)
        await storage.report_launch_failure(key, "slow", permanent=False, limits=LIMITS, now_ms=START_MS)
        await register(storage, "managed-1", epoch=key.epoch)
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.RUNNING
        assert instance.lease_until_ms is not None
        assert instance.lease_until_ms > START_MS
