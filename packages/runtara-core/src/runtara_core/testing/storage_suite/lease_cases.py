"""Leases: renewed, taken over, ended, and what becomes of an instance whose lease expires."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InvalidStateError
from runtara_sdk.models import (
    CustomSignal,
    EventType,
    InstanceStatus,
    SignalType,
    SignalWait,
    SignalWaitState,
    TerminationReason,
)

from runtara_core.models import ExitReport, LastContact, LeaseKey, PendingCancel
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LEASE_MS,
    LIMITS,
    START_MS,
    claim,
    create,
    get,
    launch,
    launched,
    limit_of,
    report,
    send,
)


class LeaseCases:
    """`renew_leases`, `expire_leases`, and `claim_launches` of running instances."""

    async def test_an_expired_lease_is_due_even_at_the_limit(self, storage: Storage) -> None:
        await create(storage)
        await claim(storage, limits=limit_of(1))
        await create(storage, "managed-2")
        late = START_MS + LEASE_MS
        assert await claim(storage, now_ms=late - 1, limits=limit_of(1)) == []
        (claimed,) = await claim(storage, owner="environment-2", now_ms=late, limits=limit_of(1))
        assert (claimed.instance_id, claimed.epoch) == ("managed-1", 2)
        assert (await get(storage, "managed-1")).lease_owner == "environment-2"

    async def test_an_instance_that_kills_its_environments_fails(self, storage: Storage) -> None:
        await create(storage)
        now_ms = START_MS
        for _ in range(1 + LIMITS.recovery.max_recoveries):
            assert len(await claim(storage, now_ms=now_ms)) == 1
            now_ms += LEASE_MS
        assert await claim(storage, now_ms=now_ms) == []
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.FAILED
        assert instance.termination_reason is TerminationReason.ORPHANED
        assert instance.error

    async def test_a_new_checkpoint_is_progress(self, storage: Storage) -> None:
        await create(storage)
        now_ms = START_MS
        for number in range(3 * LIMITS.recovery.max_recoveries):
            key = await launch(storage, now_ms=now_ms)
            await storage.checkpoint("managed-1", key.epoch, f"step-{number}", b"", now_ms=now_ms)
            now_ms += LEASE_MS
        assert (await get(storage, "managed-1")).status is InstanceStatus.RUNNING

    @pytest.mark.parametrize("vanished", [1, 1 + LIMITS.recovery.max_recoveries])
    @pytest.mark.parametrize("by_name", [False, True])
    async def test_a_cancel_that_waits_ends_an_instance_whose_environment_vanished(
        self, storage: Storage, vanished: int, by_name: bool
    ) -> None:
        key, now_ms = await _vanish(storage, vanished, SignalType.CANCEL)
        assert await claim(storage, instance_id=key.instance_id if by_name else None, now_ms=now_ms) == []
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.termination_reason) == ("cancelled", TerminationReason.CANCELLED)
        assert (instance.finished_at_ms, instance.wake_at_ms, instance.lease_until_ms) == (now_ms, None, None)
        assert await storage.next_wake_at_ms() is None
        # Its process, should it live after all, hears of the end at its next call, and may acknowledge the signal.
        with pytest.raises(InvalidStateError):
            await storage.checkpoint("managed-1", key.epoch, "late", b"", now_ms=now_ms)
        status = await storage.acknowledge_signal("managed-1", key.epoch, SignalType.CANCEL, None, now_ms=now_ms)
        assert status is InstanceStatus.CANCELLED

    @pytest.mark.parametrize("vanished", [1, 1 + LIMITS.recovery.max_recoveries])
    async def test_a_pause_that_waits_holds_an_instance_whose_environment_vanished(
        self, storage: Storage, vanished: int
    ) -> None:
        key, now_ms = await _vanish(storage, vanished, SignalType.PAUSE)
        assert await claim(storage, now_ms=now_ms) == []
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.termination_reason) == ("suspended", TerminationReason.PAUSED)
        assert (instance.wake_at_ms, instance.finished_at_ms) == (None, None)
        assert instance.recovery_attempts == vanished
        assert await claim(storage, now_ms=now_ms + 10**9) == []
        await send(storage, "managed-1", SignalType.RESUME, now_ms=now_ms)
        assert (await launch(storage, now_ms=now_ms)).epoch == key.epoch + 1
        # The pause excused nothing: without a new checkpoint the count goes on.
        again = await claim(storage, now_ms=now_ms + LEASE_MS)
        assert len(again) == (1 if vanished < LIMITS.recovery.max_recoveries else 0)

    async def test_a_cancel_comes_before_a_pause_when_the_environment_vanished(self, storage: Storage) -> None:
        _, now_ms = await _vanish(storage, 1, SignalType.PAUSE)
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await claim(storage, now_ms=now_ms) == []
        assert (await get(storage, "managed-1")).status is InstanceStatus.CANCELLED

    async def test_a_pause_that_was_withdrawn_stops_no_launch(self, storage: Storage) -> None:
        _, now_ms = await _vanish(storage, 1, SignalType.PAUSE)
        await send(storage, "managed-1", SignalType.RESUME)
        assert len(await claim(storage, now_ms=now_ms)) == 1

    async def test_a_custom_signal_waits_for_the_launch_after_its_environment_vanished(self, storage: Storage) -> None:
        _, now_ms = await _vanish(storage, 1)
        await storage.send_custom_signal("managed-1", CustomSignal("gate", b"yes"), now_ms=START_MS)
        key = await launch(storage, now_ms=now_ms)
        waited = await storage.wait_signal(
            "managed-1", key.epoch, "gate", timeout_ms=None, suspend_above_ms=0, now_ms=now_ms
        )
        assert waited == SignalWait(SignalWaitState.RECEIVED, b"yes")

    async def test_a_custom_signal_is_no_progress(self, storage: Storage) -> None:
        _, now_ms = await _vanish(storage, 1 + LIMITS.recovery.max_recoveries)
        await storage.send_custom_signal("managed-1", CustomSignal("gate", b"yes"), now_ms=now_ms)
        assert await claim(storage, now_ms=now_ms) == []
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.ORPHANED

    async def test_leases_are_renewed_while_the_launch_is_current(self, storage: Storage) -> None:
        alive = await launched(storage, "alive")
        finished = await launched(storage, "finished")
        await report(storage, finished, EventType.COMPLETED)
        stale = LeaseKey("alive", alive.epoch + 1)
        unknown = LeaseKey("nobody", 1)
        lost = await storage.renew_leases(
            "environment-1", [alive, finished, stale, unknown], lease_ms=LEASE_MS, now_ms=START_MS + 500
        )
        assert sorted(lost, key=str) == sorted([finished, stale, unknown], key=str)
        assert (await get(storage, "alive")).lease_until_ms == START_MS + 500 + LEASE_MS
        assert await storage.renew_leases("environment-1", [], lease_ms=1, now_ms=START_MS) == []

    async def test_an_environment_adopts_a_launch_by_renewing_it(self, storage: Storage) -> None:
        key = await launched(storage)
        late = START_MS + LEASE_MS + 1
        assert await storage.renew_leases("environment-2", [key], lease_ms=LEASE_MS, now_ms=late) == []
        assert (await get(storage, "managed-1")).lease_owner == "environment-2"
        assert await claim(storage, now_ms=late) == []

    async def test_cancels_that_wait_are_told_to_the_owner_of_the_lease(self, storage: Storage) -> None:
        first, second, _ = [await launched(storage, name) for name in ("first", "second", "paused")]
        await launched(storage, "untouched")
        await storage.send_signal("first", SignalType.CANCEL, b"", now_ms=START_MS)
        await storage.send_signal("second", SignalType.CANCEL, b"", now_ms=START_MS + 400)
        await storage.send_signal("paused", SignalType.PAUSE, b"", now_ms=START_MS)
        # Sent again while it waits: it waits since the first time.
        await storage.send_signal("first", SignalType.CANCEL, b"again", now_ms=START_MS + 900)
        now_ms = START_MS + 1000
        waiting = await storage.pending_cancels("environment-1", limit=10, now_ms=now_ms)
        assert waiting == [PendingCancel("first", first.epoch, 1000), PendingCancel("second", second.epoch, 600)]
        assert await storage.pending_cancels("environment-1", limit=1, now_ms=now_ms) == waiting[:1]
        assert await storage.pending_cancels("environment-2", limit=10, now_ms=now_ms) == []
        await storage.renew_leases("environment-2", [first], lease_ms=LEASE_MS, now_ms=now_ms)
        assert await storage.pending_cancels("environment-2", limit=10, now_ms=now_ms) == waiting[:1]
        await storage.report_exit(first, ExitReport(reason=TerminationReason.CANCELLED), limits=LIMITS, now_ms=now_ms)
        assert await storage.pending_cancels("environment-2", limit=10, now_ms=now_ms) == []

    async def test_signs_of_life_are_told_to_the_owner_of_the_lease(self, storage: Storage) -> None:
        key, other, _ = [await launched(storage, name) for name in ("b", "a", "c")]
        await storage.checkpoint("b", key.epoch, "step", b"", now_ms=START_MS + 7)
        await storage.report_exit(
            other, ExitReport(reason=TerminationReason.CANCELLED), limits=LIMITS, now_ms=START_MS + 8
        )
        found = await storage.last_contacts("environment-1", limit=10)
        assert found == [LastContact("b", key.epoch, START_MS + 7), LastContact("c", 1, START_MS)]
        assert await storage.last_contacts("environment-1", limit=1) == found[:1]
        assert await storage.last_contacts("environment-1", after_instance_id="b", limit=1) == found[1:]
        assert await storage.last_contacts("environment-2", limit=10) == []

    async def test_leases_of_a_dead_owner_end_now(self, storage: Storage) -> None:
        await launched(storage, "dead")
        adopted = await launched(storage, "adopted")
        await storage.renew_leases("environment-2", [adopted], lease_ms=LEASE_MS, now_ms=START_MS)
        assert await storage.expire_leases("environment-1") == 1
        assert await storage.expire_leases("environment-1") == 0
        claimed = await claim(storage, owner="environment-2", now_ms=START_MS + 5)
        assert [each.instance_id for each in claimed] == ["dead"]

    async def test_a_lease_that_ran_out_by_itself_can_be_left_for_a_while(self, storage: Storage) -> None:
        silent = await launched(storage, "silent")
        given_up = await launched(storage, "given-up")
        await storage.renew_leases("environment-2", [given_up], lease_ms=LEASE_MS, now_ms=START_MS)
        await create(storage, "due")
        now_ms = START_MS + LEASE_MS
        await storage.expire_leases("environment-2")
        assert await claim(storage, instance_id="silent", now_ms=now_ms, leases_ended_by_ms=0) == []
        claimed = await claim(storage, owner="environment-3", now_ms=now_ms, leases_ended_by_ms=0)
        assert [each.instance_id for each in claimed] == ["given-up", "due"]
        assert await storage.renew_leases("environment-1", [silent], lease_ms=LEASE_MS, now_ms=now_ms) == []
        assert await claim(storage, owner="environment-3", now_ms=now_ms) == []
        now_ms += LEASE_MS
        claimed = await claim(storage, owner="environment-3", now_ms=now_ms, leases_ended_by_ms=now_ms)
        assert "silent" in [each.instance_id for each in claimed]


async def _vanish(storage: Storage, times: int, signal_type: SignalType | None = None) -> tuple[LeaseKey, int]:
    """Launch an instance until its environment has vanished so often; a signal that its last process never obeys.

    Returns the last launch, and when its lease expires.
    """
    await create(storage)
    now_ms = START_MS
    for _ in range(times):
        key = await launch(storage, now_ms=now_ms)
        now_ms += LEASE_MS
    if signal_type is not None:
        await send(storage, "managed-1", signal_type)
    return key, now_ms
