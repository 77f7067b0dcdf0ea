"""Waits for custom signals."""

from __future__ import annotations

import asyncio

import pytest
from runtara_sdk.errors import InvalidInputError, InvalidStateError, StaleEpochError
from runtara_sdk.models import (
    ALONE,
    CustomSignal,
    EventType,
    InstanceStatus,
    SignalType,
    SignalWait,
    SignalWaitState,
    TerminationReason,
    WaitsBeside,
)

from runtara_core.models import LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import START_MS, claim, get, launch, launched, register, report, send

_HOUR_MS = 3_600_000


async def _wait(
    storage: Storage,
    key: LeaseKey,
    *,
    timeout_ms: int | None = None,
    suspend_above_ms: int | None = 30_000,
    beside: WaitsBeside = ALONE,
    now_ms: int = START_MS,
) -> SignalWait:
    return await storage.wait_signal(
        key.instance_id,
        key.epoch,
        "gate",
        timeout_ms=timeout_ms,
        suspend_above_ms=suspend_above_ms,
        beside=beside,
        now_ms=now_ms,
    )


async def _signal(storage: Storage, payload: bytes = b"yes", *, now_ms: int = START_MS) -> None:
    await storage.send_custom_signal("managed-1", CustomSignal("gate", payload), now_ms=now_ms)


class SignalWaitCases:
    """`wait_signal`."""

    async def test_a_signal_that_is_there_becomes_the_checkpoint(self, storage: Storage) -> None:
        key = await launched(storage)
        await _signal(storage, b"first")
        assert await _wait(storage, key) == SignalWait(SignalWaitState.RECEIVED, b"first")
        await _signal(storage, b"second")
        assert await _wait(storage, key) == SignalWait(SignalWaitState.RECEIVED, b"first")
        assert await storage.get_checkpoint("managed-1", "gate") == b"first"
        assert (await get(storage, "managed-1")).checkpoint_id == "gate"

    async def test_one_suspension_serves_the_waits_beside_it(self, storage: Storage) -> None:
        key = await launched(storage)
        beside = WaitsBeside(START_MS + 90_000, ("door",))
        assert await _wait(storage, key, beside=beside) == SignalWait(SignalWaitState.SUSPENDED)
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS + 90_000
        await storage.send_custom_signal("managed-1", CustomSignal("door", b"open"), now_ms=START_MS + 5)
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS + 5

    async def test_its_own_deadline_may_be_the_sooner_one(self, storage: Storage) -> None:
        key = await launched(storage)
        beside = WaitsBeside(START_MS + 90_000)
        waited = await _wait(storage, key, timeout_ms=60_000, beside=beside)
        assert waited == SignalWait(SignalWaitState.SUSPENDED, b"", START_MS + 60_000, 60_000)
        assert (await get(storage, "managed-1")).wake_at_ms == START_MS + 60_000

    async def test_what_is_about_to_come_suspends_nothing(self, storage: Storage) -> None:
        key = await launched(storage)
        near = WaitsBeside(START_MS + 30_000)
        assert await _wait(storage, key, beside=near) == SignalWait(SignalWaitState.WAIT)
        await storage.send_custom_signal("managed-1", CustomSignal("door", b"open"), now_ms=START_MS)
        there = WaitsBeside(None, ("window", "door"))
        assert await _wait(storage, key, beside=there) == SignalWait(SignalWaitState.WAIT)
        taken = await storage.wait_signal(
            key.instance_id, key.epoch, "door", timeout_ms=None, suspend_above_ms=None, now_ms=START_MS
        )
        assert taken.payload == b"open"
        assert await _wait(storage, key, beside=there) == SignalWait(SignalWaitState.SUSPENDED)

    async def test_too_many_waits_are_refused(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(InvalidInputError, match="at most 1000"):
            await _wait(storage, key, beside=WaitsBeside(None, tuple(map(str, range(1_001)))))

    async def test_without_a_deadline_it_sleeps_until_the_signal(self, storage: Storage) -> None:
        key = await launched(storage)
        for _ in range(2):  # the answer may be lost and the call repeated
            assert await _wait(storage, key) == SignalWait(SignalWaitState.SUSPENDED)
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.wake_at_ms) == (InstanceStatus.SUSPENDED, None)
        assert instance.termination_reason is TerminationReason.WAITING_SIGNAL
        assert await claim(storage, now_ms=START_MS + 10**9) == []
        await _signal(storage, now_ms=START_MS + 6)
        again = await launch(storage, now_ms=START_MS + 6)
        assert await _wait(storage, again, now_ms=START_MS + 6) == SignalWait(SignalWaitState.RECEIVED, b"yes")

    async def test_with_a_deadline_it_wakes_then_and_has_timed_out_for_ever(self, storage: Storage) -> None:
        key = await launched(storage)
        deadline_ms = START_MS + _HOUR_MS
        first = await _wait(storage, key, timeout_ms=_HOUR_MS)
        assert first == SignalWait(SignalWaitState.SUSPENDED, b"", deadline_ms, _HOUR_MS)
        assert (await get(storage, "managed-1")).wake_at_ms == deadline_ms
        again = await launch(storage, now_ms=deadline_ms)
        for timeout_ms in (_HOUR_MS, None):
            ended = await _wait(storage, again, timeout_ms=timeout_ms, now_ms=deadline_ms)
            assert ended == SignalWait(SignalWaitState.TIMED_OUT, b"", deadline_ms, 0)
        await _signal(storage, b"late")
        assert (await _wait(storage, again, now_ms=deadline_ms)).state is SignalWaitState.TIMED_OUT

    async def test_a_short_or_unmanaged_wait_stays_in_process_with_the_first_deadline(self, storage: Storage) -> None:
        key = await launched(storage)
        first = await _wait(storage, key, timeout_ms=20_000)
        assert first == SignalWait(SignalWaitState.WAIT, b"", START_MS + 20_000, 20_000)
        later = await _wait(storage, key, timeout_ms=_HOUR_MS, now_ms=START_MS + 5_000)
        assert later == SignalWait(SignalWaitState.WAIT, b"", START_MS + 20_000, 15_000)
        own = LeaseKey("own-1", await register(storage))
        assert await _wait(storage, own, suspend_above_ms=None) == SignalWait(SignalWaitState.WAIT)

    async def test_a_pending_signal_keeps_it_running(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        assert (await _wait(storage, key)).state is SignalWaitState.WAIT
        assert (await get(storage, "managed-1")).status is InstanceStatus.RUNNING

    async def test_a_paused_waiter_is_not_woken(self, storage: Storage) -> None:
        key = await launched(storage)
        await _wait(storage, key)
        await send(storage, "managed-1", SignalType.PAUSE)
        await _signal(storage, now_ms=START_MS + 6)
        assert (await get(storage, "managed-1")).wake_at_ms is None
        await send(storage, "managed-1", SignalType.RESUME, now_ms=START_MS + 8)
        again = await launch(storage, now_ms=START_MS + 8)
        assert (await _wait(storage, again, now_ms=START_MS + 8)).payload == b"yes"

    async def test_no_signal_falls_between_the_look_and_the_sleep(self, storage: Storage) -> None:
        for number in range(10):
            instance_id = f"racer-{number}"
            key = await launched(storage, instance_id)
            waited, _ = await asyncio.gather(
                _wait(storage, key),
                storage.send_custom_signal(instance_id, CustomSignal("gate", b"yes"), now_ms=START_MS + 1),
            )
            instance = await get(storage, instance_id)
            if waited.state is SignalWaitState.SUSPENDED:
                assert instance.wake_at_ms == START_MS + 1
            else:
                assert waited == SignalWait(SignalWaitState.RECEIVED, b"yes")

    async def test_a_wait_needs_a_running_instance_of_its_epoch(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(StaleEpochError):
            await _wait(storage, LeaseKey("managed-1", key.epoch + 1))
        with pytest.raises(InvalidInputError):
            await _wait(storage, key, timeout_ms=-1)
        await report(storage, key, EventType.COMPLETED)
        with pytest.raises(InvalidStateError):
            await _wait(storage, key)
