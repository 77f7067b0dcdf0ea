"""What the end of a process means."""

from __future__ import annotations

import pytest
from runtara_sdk.errors import InstanceNotFoundError
from runtara_sdk.models import EventType, InstanceStatus, SignalType, TerminationReason

from runtara_core.models import ExitDecision, ExitReport, InstanceFilter, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LIMITS,
    START_MS,
    create,
    get,
    launch,
    launched,
    report,
    send,
)

_CRASH = ExitReport(TerminationReason.CRASHED, exit_code=-9)


async def _exit(storage: Storage, key: LeaseKey, report: ExitReport = _CRASH, now_ms: int = START_MS) -> ExitDecision:
    return await storage.report_exit(key, report, limits=LIMITS, now_ms=now_ms)


class ExitCases:
    """`report_exit`."""

    async def test_a_crash_is_launched_again_at_once(self, storage: Storage) -> None:
        key = await launched(storage)
        decision = await _exit(storage, key, now_ms=START_MS + 3)
        assert decision == ExitDecision(InstanceStatus.SUSPENDED, START_MS + 3)
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.CRASHED
        assert (instance.recovery_attempts, instance.finished_at_ms) == (1, None)
        assert (instance.lease_owner, instance.lease_until_ms) == (None, None)
        # Reported again after a lost answer: the same decision.
        assert await _exit(storage, key, now_ms=START_MS + 4) == decision

    async def test_crashes_without_progress_back_off_and_fail(self, storage: Storage) -> None:
        await create(storage)
        now_ms, waits = START_MS, []
        for _ in range(LIMITS.recovery.max_recoveries):
            decision = await _exit(storage, await launch(storage, now_ms=now_ms), now_ms=now_ms)
            assert decision.wake_at_ms is not None
            waits.append(decision.wake_at_ms - now_ms)
            now_ms = decision.wake_at_ms
        assert waits == [LIMITS.recovery.backoff_ms(number) for number in (1, 2, 3)]
        report = ExitReport(TerminationReason.CRASHED, 3, stderr_tail="Traceback\nValueError: no\n")
        decision = await _exit(storage, await launch(storage, now_ms=now_ms), report, now_ms=now_ms)
        assert decision == ExitDecision(InstanceStatus.FAILED, None)
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is TerminationReason.CRASHED
        assert instance.finished_at_ms == now_ms
        assert instance.error is not None
        assert "code 3" in instance.error
        assert "ValueError: no" in instance.error

    async def test_crashes_with_progress_go_on(self, storage: Storage) -> None:
        await create(storage)
        for number in range(3 * LIMITS.recovery.max_recoveries):
            key = await launch(storage)
            await storage.checkpoint("managed-1", key.epoch, f"step-{number}", b"", now_ms=START_MS)
            assert await _exit(storage, key) == ExitDecision(InstanceStatus.SUSPENDED, START_MS)

    async def test_exit_code_zero_without_a_result_fails(self, storage: Storage) -> None:
        key = await launched(storage)
        decision = await _exit(storage, key, ExitReport(TerminationReason.CRASHED, exit_code=0))
        assert decision.status is InstanceStatus.FAILED
        assert (await get(storage, "managed-1")).error

    @pytest.mark.parametrize(
        ("reason", "status"),
        [
            (TerminationReason.TIMEOUT, InstanceStatus.FAILED),
            (TerminationReason.HEARTBEAT_TIMEOUT, InstanceStatus.SUSPENDED),
            (TerminationReason.OUT_OF_MEMORY, InstanceStatus.SUSPENDED),
            (TerminationReason.CANCELLED, InstanceStatus.CANCELLED),
            (TerminationReason.ENVIRONMENT_RESTART, InstanceStatus.SUSPENDED),
            (TerminationReason.SHUTDOWN_REQUESTED, InstanceStatus.SUSPENDED),
        ],
    )
    async def test_each_reason_has_its_meaning(
        self, storage: Storage, reason: TerminationReason, status: InstanceStatus
    ) -> None:
        key = await launched(storage)
        assert (await _exit(storage, key, ExitReport(reason))).status is status
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.termination_reason) == (status, reason)
        assert (instance.finished_at_ms is not None) is status.is_terminal

    @pytest.mark.parametrize("event_type", [EventType.COMPLETED, EventType.FAILED, EventType.SUSPENDED])
    @pytest.mark.parametrize("reason", [TerminationReason.CRASHED, TerminationReason.TIMEOUT])
    async def test_what_the_instance_reported_wins(
        self, storage: Storage, event_type: EventType, reason: TerminationReason
    ) -> None:
        key = await launched(storage)
        status = await report(storage, key, event_type, b"result")
        before = await get(storage, "managed-1")
        assert (await _exit(storage, key, ExitReport(reason, exit_code=1))).status is status
        after = await get(storage, "managed-1")
        assert (after.status, after.output, after.error) == (before.status, before.output, before.error)
        assert after.termination_reason is before.termination_reason
        assert after.exit_code == 1

    async def test_an_exit_stores_what_was_measured(self, storage: Storage) -> None:
        key = await launched(storage)
        measured = ExitReport(
            TerminationReason.CRASHED,
            exit_code=-11,
            stderr_tail="a\0" + "x" * 10_000,
            memory_peak_bytes=5 * 2**30,
            cpu_usage_usec=1_234_567,
        )
        await _exit(storage, key, measured)
        instance = await get(storage, "managed-1")
        assert instance.exit_code == -11
        assert (instance.memory_peak_bytes, instance.cpu_usage_usec) == (5 * 2**30, 1_234_567)
        assert instance.stderr == "x" * 8_192

    async def test_an_instance_has_the_peak_and_the_sum_of_its_launches(self, storage: Storage) -> None:
        def used(peak: int | None, cpu: int | None) -> ExitReport:
            return ExitReport(TerminationReason.CRASHED, 1, memory_peak_bytes=peak, cpu_usage_usec=cpu)

        async def measured() -> tuple[int | None, int | None]:
            instance = await get(storage, "managed-1")
            return instance.memory_peak_bytes, instance.cpu_usage_usec

        first = await launched(storage)
        assert await measured() == (None, None)
        await _exit(storage, first, used(500, None))
        second = await launch(storage)
        await _exit(storage, second, used(300, 7))
        assert await measured() == (500, 7)
        await _exit(storage, second, used(300, 7))  # reported again after a lost answer
        third = await launch(storage, now_ms=START_MS + 60_000)
        await _exit(storage, third, used(None, None))
        assert await measured() == (500, 7)

    async def test_a_launch_counts_also_when_its_exit_is_reported_late(self, storage: Storage) -> None:
        key = await launched(storage)
        await report(storage, key, EventType.SUSPENDED)
        await send(storage, "managed-1", SignalType.RESUME)
        again = await launch(storage)
        used = ExitReport(TerminationReason.CRASHED, 0, memory_peak_bytes=9, cpu_usage_usec=10)
        assert (await _exit(storage, key, used)).stale
        assert (await _exit(storage, key, used)).stale
        await report(storage, again, EventType.COMPLETED, b"1")
        await _exit(storage, again, used)
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.exit_code) == (InstanceStatus.COMPLETED, 0)
        assert (instance.memory_peak_bytes, instance.cpu_usage_usec) == (9, 20)

    @pytest.mark.parametrize("reason", [TerminationReason.OUT_OF_MEMORY, TerminationReason.HEARTBEAT_TIMEOUT])
    async def test_other_ends_without_progress_fail_with_their_reason(
        self, storage: Storage, reason: TerminationReason
    ) -> None:
        await create(storage)
        now_ms = START_MS
        ended = ExitReport(reason, -9, stderr_tail="more of it helps")
        for _ in range(LIMITS.recovery.max_recoveries):
            decision = await _exit(storage, await launch(storage, now_ms=now_ms), ended, now_ms=now_ms)
            assert decision.wake_at_ms is not None
            assert (await get(storage, "managed-1")).termination_reason is reason
            now_ms = decision.wake_at_ms
        last = await launch(storage, now_ms=now_ms)
        assert (await get(storage, "managed-1")).termination_reason is None
        assert (await _exit(storage, last, ended, now_ms=now_ms)).status is InstanceStatus.FAILED
        instance = await get(storage, "managed-1")
        assert instance.termination_reason is reason
        assert "more of it helps" in (instance.error or "")

    async def test_a_crash_after_running_out_of_memory_is_a_crash(self, storage: Storage) -> None:
        key = await launched(storage)
        await _exit(storage, key, ExitReport(TerminationReason.OUT_OF_MEMORY, -9))
        assert await self._found(storage) == {TerminationReason.OUT_OF_MEMORY: 1, TerminationReason.CRASHED: 0}
        await _exit(storage, await launch(storage))
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.CRASHED
        assert await self._found(storage) == {TerminationReason.OUT_OF_MEMORY: 0, TerminationReason.CRASHED: 1}

    async def _found(self, storage: Storage) -> dict[TerminationReason, int]:
        """How many instances a list by each of the two reasons has."""
        return {
            reason: (await storage.list_instances(InstanceFilter(termination_reasons=(reason,)))).total_count
            for reason in (TerminationReason.OUT_OF_MEMORY, TerminationReason.CRASHED)
        }

    async def test_an_exit_of_the_past_changes_nothing(self, storage: Storage) -> None:
        key = await launched(storage)
        await _exit(storage, key)
        again = await launch(storage)
        before = await get(storage, "managed-1")
        decision = await _exit(storage, key, ExitReport(TerminationReason.TIMEOUT, 1, "late"))
        assert decision.stale
        assert decision.status is InstanceStatus.RUNNING
        assert await get(storage, "managed-1") == before
        assert before.epoch == again.epoch
        with pytest.raises(InstanceNotFoundError):
            await _exit(storage, LeaseKey("nobody", 1))

    @pytest.mark.parametrize("exit_code", [0, 1, None])
    async def test_a_crash_with_a_waiting_cancel_is_cancelled(self, storage: Storage, exit_code: int | None) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.CANCEL)
        decision = await _exit(storage, key, ExitReport(TerminationReason.CRASHED, exit_code))
        assert decision == ExitDecision(InstanceStatus.CANCELLED, None)
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.CANCELLED

    async def test_one_that_ran_too_long_is_cancelled_when_asked_to_but_fails_when_asked_to_pause(
        self, storage: Storage
    ) -> None:
        reason = TerminationReason.TIMEOUT
        cancelled = await launched(storage, "cancelled")
        await send(storage, "cancelled", SignalType.CANCEL)
        assert await _exit(storage, cancelled, ExitReport(reason)) == ExitDecision(InstanceStatus.CANCELLED, None)
        assert (await get(storage, "cancelled")).termination_reason is TerminationReason.CANCELLED
        paused = await launched(storage, "paused")
        await send(storage, "paused", SignalType.PAUSE)
        assert await _exit(storage, paused, ExitReport(reason)) == ExitDecision(InstanceStatus.FAILED, None)

    @pytest.mark.parametrize("reason", [TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED])
    async def test_a_signal_that_waits_is_obeyed_when_an_environment_ends(
        self, storage: Storage, reason: TerminationReason
    ) -> None:
        for signal_type, status in (
            (SignalType.CANCEL, InstanceStatus.CANCELLED),
            (SignalType.PAUSE, InstanceStatus.SUSPENDED),
        ):
            key = await launched(storage, signal_type)
            await send(storage, signal_type, signal_type)
            assert await _exit(storage, key, ExitReport(reason)) == ExitDecision(status, None)

    @pytest.mark.parametrize("exit_code", [0, 1])
    async def test_a_crash_with_a_waiting_pause_is_paused(self, storage: Storage, exit_code: int) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        decision = await _exit(storage, key, ExitReport(TerminationReason.CRASHED, exit_code))
        assert decision == ExitDecision(InstanceStatus.SUSPENDED, None)
        assert (await get(storage, "managed-1")).termination_reason is TerminationReason.PAUSED

    async def test_a_process_that_obeyed_a_withdrawn_pause_is_launched_again(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        await send(storage, "managed-1", SignalType.RESUME, now_ms=START_MS + 1)
        silent = ExitReport(TerminationReason.CRASHED, exit_code=0)
        # It read the pause, and ended before it could acknowledge it.
        assert await _exit(storage, key, silent) == ExitDecision(InstanceStatus.SUSPENDED, START_MS)
        # The next one read none: it ends without a result.
        again = await launch(storage, now_ms=START_MS + 2)
        assert (await _exit(storage, again, silent)).status is InstanceStatus.FAILED
