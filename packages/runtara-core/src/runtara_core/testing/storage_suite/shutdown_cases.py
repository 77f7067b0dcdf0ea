"""The shutdown signal: a process ends, and its instance is launched again at once."""

from __future__ import annotations

import pytest
from runtara_sdk.models import EventType, InstanceStatus, Signal, SignalType, SleepState, TerminationReason

from runtara_core.models import ExitDecision, ExitReport, LeaseKey
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
    register,
    report,
    send,
)

_SILENT = ExitReport(TerminationReason.CRASHED, exit_code=0)
_CRASH = ExitReport(TerminationReason.CRASHED, exit_code=-9)


async def _poll(storage: Storage, key: LeaseKey) -> Signal | None:
    return (await storage.poll_signals(key.instance_id, key.epoch, None, now_ms=START_MS)).signal


async def _told(storage: Storage, instance_id: str = "managed-1") -> tuple[LeaseKey, Signal]:
    """A launched instance that has read a shutdown."""
    key = await launched(storage, instance_id)
    assert await send(storage, instance_id, SignalType.SHUTDOWN) is InstanceStatus.RUNNING
    signal = await _poll(storage, key)
    assert signal is not None
    assert signal.signal_type is SignalType.SHUTDOWN
    return key, signal


async def _obey(storage: Storage, key: LeaseKey, signal: Signal, now_ms: int = START_MS) -> InstanceStatus:
    return await storage.acknowledge_signal(
        key.instance_id, key.epoch, signal.signal_type, signal.signal_id, now_ms=now_ms
    )


class ShutdownCases:
    """`SignalType.SHUTDOWN` in every verb that knows signals."""

    async def test_an_obeyed_shutdown_is_launched_again_at_once(self, storage: Storage) -> None:
        key, signal = await _told(storage)
        for _ in range(2):
            assert await _obey(storage, key, signal, START_MS + 3) is InstanceStatus.SUSPENDED
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.SHUTDOWN_REQUESTED
        assert (instance.wake_at_ms, instance.finished_at_ms, instance.error) == (START_MS + 3, None, None)
        assert (instance.lease_owner, instance.lease_until_ms) == (None, None)
        # The end of the process comes later, and says nothing more.
        assert await storage.report_exit(
            key, ExitReport(TerminationReason.CRASHED, exit_code=0), limits=LIMITS, now_ms=START_MS + 4
        ) == ExitDecision(InstanceStatus.SUSPENDED, START_MS + 3)
        (again,) = await claim(storage, owner="environment-2", now_ms=START_MS + 3)
        assert again.epoch == key.epoch + 1
        await register(storage, "managed-1", epoch=again.epoch)
        assert await _poll(storage, LeaseKey("managed-1", again.epoch)) is None

    async def test_obeying_counts_for_no_failure(self, storage: Storage) -> None:
        await create(storage)
        for number in range(3 * LIMITS.recovery.max_recoveries):
            key = await launch(storage)
            await send(storage, "managed-1", SignalType.SHUTDOWN)
            if number % 2:
                signal = await _poll(storage, key)
                assert signal is not None
                await _obey(storage, key, signal)
            else:
                # It could not acknowledge, and ended.
                decision = await storage.report_exit(key, _SILENT, limits=LIMITS, now_ms=START_MS)
                assert decision == ExitDecision(InstanceStatus.SUSPENDED, START_MS)
            instance = await get(storage, "managed-1")
            assert instance.termination_reason is TerminationReason.SHUTDOWN_REQUESTED
            assert (instance.recovery_attempts, instance.wake_at_ms) == (0, START_MS)

    async def test_a_crash_with_a_waiting_shutdown_is_a_crash(self, storage: Storage) -> None:
        await create(storage)
        now_ms = START_MS
        for number in range(1, LIMITS.recovery.max_recoveries + 1):
            key = await launch(storage, now_ms=now_ms)
            await send(storage, "managed-1", SignalType.SHUTDOWN)
            decision = await storage.report_exit(key, _CRASH, limits=LIMITS, now_ms=now_ms)
            now_ms += LIMITS.recovery.backoff_ms(number)
            assert decision == ExitDecision(InstanceStatus.SUSPENDED, now_ms)
            assert await _poll(storage, key) is None
            assert (await get(storage, "managed-1")).termination_reason is TerminationReason.CRASHED
        key = await launch(storage, now_ms=now_ms)
        await send(storage, "managed-1", SignalType.SHUTDOWN)
        assert await storage.report_exit(key, _CRASH, limits=LIMITS, now_ms=now_ms) == ExitDecision(
            InstanceStatus.FAILED, None
        )

    async def test_a_later_launch_hears_of_none(self, storage: Storage) -> None:
        key, _ = await _told(storage)
        again = await launch(storage, now_ms=START_MS + LEASE_MS)
        assert again.epoch == key.epoch + 1
        assert await _poll(storage, again) is None
        assert (await get(storage, "managed-1")).recovery_attempts == 1

    async def test_a_shutdown_lets_no_instance_kill_environments_for_ever(self, storage: Storage) -> None:
        await create(storage)
        now_ms = START_MS
        for _ in range(1 + LIMITS.recovery.max_recoveries):
            await launch(storage, now_ms=now_ms)
            await send(storage, "managed-1", SignalType.SHUTDOWN)
            now_ms += LEASE_MS
        assert await claim(storage, now_ms=now_ms) == []
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.ORPHANED

    @pytest.mark.parametrize("how", ["pending", "sleeping", "paused"])
    async def test_without_a_process_it_changes_nothing(self, storage: Storage, how: str) -> None:
        await create(storage)
        if how != "pending":
            key = await launch(storage)
            await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=9, suspend_above_ms=0, now_ms=START_MS)
        if how == "paused":
            await send(storage, "managed-1", SignalType.PAUSE)
        before = await get(storage, "managed-1")
        assert await send(storage, "managed-1", SignalType.SHUTDOWN, now_ms=START_MS + 1) is before.status
        assert await get(storage, "managed-1") == before
        await send(storage, "managed-1", SignalType.RESUME)
        assert await _poll(storage, await launch(storage)) is None

    async def test_it_keeps_a_sleeper_from_being_suspended(self, storage: Storage) -> None:
        key, _ = await _told(storage)
        sleep = await storage.sleep(
            "managed-1", key.epoch, "nap", b"", duration_ms=10**6, suspend_above_ms=0, now_ms=START_MS
        )
        assert sleep.state is SleepState.WAIT

    async def test_checkpoints_tell_of_it(self, storage: Storage) -> None:
        key, signal = await _told(storage)
        for _ in range(2):
            result = await storage.checkpoint("managed-1", key.epoch, "step", b"1", now_ms=START_MS)
            assert result.pending_signal == signal

    @pytest.mark.parametrize("shutdown_first", [False, True])
    @pytest.mark.parametrize("shutdown_obeyed", [False, True])
    @pytest.mark.parametrize(
        ("urgent", "status", "reason"),
        [
            (SignalType.PAUSE, InstanceStatus.SUSPENDED, TerminationReason.PAUSED),
            (SignalType.CANCEL, InstanceStatus.CANCELLED, TerminationReason.CANCELLED),
        ],
    )
    async def test_a_more_urgent_signal_decides(
        self,
        storage: Storage,
        urgent: SignalType,
        status: InstanceStatus,
        reason: TerminationReason,
        shutdown_obeyed: bool,
        shutdown_first: bool,
    ) -> None:
        key = await launched(storage)
        for signal_type in (SignalType.SHUTDOWN, urgent) if shutdown_first else (urgent, SignalType.SHUTDOWN):
            await send(storage, "managed-1", signal_type)
        waiting = await _poll(storage, key)
        assert waiting is not None
        assert waiting.signal_type is urgent
        obeyed = SignalType.SHUTDOWN if shutdown_obeyed else urgent
        assert await storage.acknowledge_signal("managed-1", key.epoch, obeyed, None, now_ms=START_MS) is status
        instance = await get(storage, "managed-1")
        assert (instance.termination_reason, instance.wake_at_ms) == (reason, None)

    async def test_one_that_parks_closes_all_that_wait(self, storage: Storage) -> None:
        key, _ = await _told(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        assert await report(storage, key, EventType.SUSPENDED) is InstanceStatus.SUSPENDED
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.PAUSED
        assert await _poll(storage, key) is None
        await send(storage, "managed-1", SignalType.RESUME)
        assert await _poll(storage, await launch(storage)) is None

    @pytest.mark.parametrize("subtype", [None, "waiting_signal", "shutdown_requested"])
    async def test_a_process_that_leaves_for_another_reason_has_obeyed(
        self, storage: Storage, subtype: str | None
    ) -> None:
        key, _ = await _told(storage)
        await report(storage, key, EventType.SUSPENDED, subtype=subtype)
        assert (await get(storage, "managed-1")).termination_reason == (subtype or TerminationReason.SUSPENDED)
        assert await _poll(storage, key) is None

    async def test_a_resume_withdraws_none(self, storage: Storage) -> None:
        key, signal = await _told(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        await send(storage, "managed-1", SignalType.RESUME)
        assert await _poll(storage, key) == signal

    async def test_a_program_of_its_own_goes_on_when_it_is_started_again(self, storage: Storage) -> None:
        epoch = await register(storage)
        await send(storage, "own-1", SignalType.SHUTDOWN)
        status = await storage.acknowledge_signal("own-1", epoch, SignalType.SHUTDOWN, None, now_ms=START_MS)
        assert status is InstanceStatus.SUSPENDED
        assert await claim(storage) == []
        epoch = await register(storage)
        await send(storage, "own-1", SignalType.SHUTDOWN)
        # It died instead; the next process was not told.
        epoch = await register(storage)
        assert await _poll(storage, LeaseKey("own-1", epoch)) is None
        # A launched one registers once more after a lost answer, and was.
        key, signal = await _told(storage)
        await register(storage, "managed-1", epoch=key.epoch)
        assert await _poll(storage, key) == signal
