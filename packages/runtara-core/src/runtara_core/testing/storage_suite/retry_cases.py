"""Retry attempts."""

from __future__ import annotations

import json

import pytest
from runtara_sdk.errors import InvalidInputError, InvalidStateError, StaleEpochError
from runtara_sdk.models import (
    CallProgress,
    EventType,
    InstanceStatus,
    RetryState,
    SignalType,
    SleepOutcome,
    SleepState,
    TerminationReason,
)

from runtara_core.models import EventFilter, LeaseKey
from runtara_core.retry_events import MAX_EVENT_ERROR_CHARACTERS
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    START_MS,
    event_types,
    get,
    launch,
    launched,
    register,
    report,
    send,
)

_HOUR_MS = 3_600_000


async def _record(
    storage: Storage,
    key: LeaseKey,
    attempt_number: int,
    *,
    wait_ms: int,
    suspend_above_ms: int | None = None,
    error: str | None = None,
    max_attempts: int | None = None,
    now_ms: int = START_MS,
) -> SleepOutcome:
    return await storage.record_retry_attempt(
        key.instance_id,
        key.epoch,
        "step",
        attempt_number=attempt_number,
        error=error or f"failure {attempt_number - 1}",
        wait_ms=wait_ms,
        retries_used=attempt_number - 1,
        rate_limit_waited_ms=7,
        max_attempts=max_attempts,
        suspend_above_ms=suspend_above_ms,
        now_ms=now_ms,
    )


class RetryCases:
    """`record_retry_attempt`, `get_progress`."""

    async def test_progress_is_nothing_then_the_last_attempt_then_the_result(self, storage: Storage) -> None:
        key = LeaseKey("own-1", await register(storage))
        assert await storage.get_progress("own-1", "step", now_ms=START_MS) == CallProgress()
        await _record(storage, key, 2, wait_ms=0)
        await _record(storage, key, 3, wait_ms=500)
        progress = await storage.get_progress("own-1", "step", now_ms=START_MS + 100)
        assert progress == CallProgress(retry=RetryState(3, "failure 2", START_MS + 500, 400, 2, 7))
        late = await storage.get_progress("own-1", "step", now_ms=START_MS + _HOUR_MS)
        assert late.retry is not None
        assert late.retry.remaining_ms == 0
        await storage.checkpoint("own-1", 1, "step", b"result", now_ms=START_MS)
        assert await storage.get_progress("own-1", "step", now_ms=START_MS) == CallProgress(b"result")

    async def test_the_first_record_of_an_attempt_fixes_its_time(self, storage: Storage) -> None:
        key = LeaseKey("own-1", await register(storage))
        first = await _record(storage, key, 2, wait_ms=1_000)
        assert first == SleepOutcome(SleepState.WAIT, START_MS + 1_000, 1_000)
        again = await _record(storage, key, 2, wait_ms=9_000, now_ms=START_MS + 400)
        assert again == SleepOutcome(SleepState.WAIT, START_MS + 1_000, 600)
        assert (await _record(storage, key, 2, wait_ms=9_000, now_ms=START_MS + 1_000)).state is SleepState.DONE

    async def test_each_attempt_leaves_one_event(self, storage: Storage) -> None:
        key = LeaseKey("own-1", await register(storage))
        for now_ms in (START_MS + 10, START_MS + 20):  # the answer may be lost and the call repeated
            await _record(storage, key, 2, wait_ms=1_500, max_attempts=4, now_ms=now_ms)
        await storage.record_retry_attempt(
            "own-1", key.epoch, "other", attempt_number=2, error=None, now_ms=START_MS + 30
        )
        await _record(storage, key, 3, wait_ms=0, now_ms=START_MS + 40)
        page = await storage.list_events("own-1", EventFilter(subtype="retry_attempt", ascending=True))
        assert [(event.event_type, event.checkpoint_id, event.created_at_ms) for event in page.events] == [
            ("custom", "step", START_MS + 10),
            ("custom", "other", START_MS + 30),
            ("custom", "step", START_MS + 40),
        ]
        first, other, last = (json.loads(event.payload or b"") for event in page.events)
        assert first == {
            "attempt_number": 2,
            "max_attempts": 4,
            "error": "failure 1",
            "wait_ms": 1_500,
            "next_attempt_at_ms": START_MS + 1_510,
        }
        assert (other["attempt_number"], other["max_attempts"], other["error"]) == (2, None, None)
        assert (last["attempt_number"], last["next_attempt_at_ms"]) == (3, START_MS + 40)

    async def test_the_event_has_the_beginning_of_a_long_error(self, storage: Storage) -> None:
        key = LeaseKey("own-1", await register(storage))
        await _record(storage, key, 2, wait_ms=0, error="\0" + "é" * 60_000)
        (event,) = (await storage.list_events("own-1", EventFilter(subtype="retry_attempt"))).events
        error = json.loads(event.payload or b"")["error"]
        assert error == "\N{REPLACEMENT CHARACTER}" + "é" * (MAX_EVENT_ERROR_CHARACTERS - 1)

    async def test_a_long_wait_suspends_until_the_attempt(self, storage: Storage) -> None:
        key = await launched(storage)
        for _ in range(2):  # the answer may be lost and the call repeated
            outcome = await _record(storage, key, 2, wait_ms=_HOUR_MS, suspend_above_ms=30_000)
            assert outcome == SleepOutcome(SleepState.SUSPENDED, START_MS + _HOUR_MS, _HOUR_MS)
        assert await event_types(storage, "managed-1") == ["started", "custom"]
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.termination_reason) == ("suspended", TerminationReason.SLEEPING)
        assert instance.wake_at_ms == START_MS + _HOUR_MS
        again = await launch(storage, now_ms=START_MS + _HOUR_MS)
        outcome = await _record(
            storage, again, 2, wait_ms=_HOUR_MS, suspend_above_ms=30_000, now_ms=START_MS + _HOUR_MS
        )
        assert outcome.state is SleepState.DONE

    async def test_woken_too_early_it_sleeps_until_the_same_time(self, storage: Storage) -> None:
        key = await launched(storage)
        await _record(storage, key, 2, wait_ms=_HOUR_MS, suspend_above_ms=30_000)
        await send(storage, "managed-1", SignalType.RESUME, now_ms=START_MS + 5)
        again = await launch(storage, now_ms=START_MS + 5)
        outcome = await _record(storage, again, 2, wait_ms=_HOUR_MS, suspend_above_ms=30_000, now_ms=START_MS + 5)
        assert outcome == SleepOutcome(SleepState.SUSPENDED, START_MS + _HOUR_MS, _HOUR_MS - 5)

    async def test_a_pending_signal_keeps_it_running(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.CANCEL)
        outcome = await _record(storage, key, 2, wait_ms=_HOUR_MS, suspend_above_ms=0)
        assert outcome.state is SleepState.WAIT
        assert (await get(storage, "managed-1")).status is InstanceStatus.RUNNING

    async def test_an_attempt_needs_a_running_instance_of_its_epoch(self, storage: Storage) -> None:
        key = await launched(storage)
        with pytest.raises(StaleEpochError):
            await _record(storage, LeaseKey("managed-1", key.epoch + 1), 2, wait_ms=0)
        with pytest.raises(InvalidInputError):
            await _record(storage, key, 2, wait_ms=-1)
        await report(storage, key, EventType.COMPLETED)
        with pytest.raises(InvalidStateError):
            await _record(storage, key, 2, wait_ms=0)
        assert await event_types(storage, "managed-1") == ["started", "completed"]
