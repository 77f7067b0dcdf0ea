"""Checkpoints, sleeps, retry attempts."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError, InvalidStateError, StaleEpochError
from runtara_sdk.models import (
    CustomSignal,
    EventType,
    InstanceStatus,
    SignalType,
    SleepOutcome,
    SleepState,
    TerminationReason,
)

from runtara_core.models import CheckpointFilter, LeaseKey
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
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

_HOUR_MS = 3_600_000


class CheckpointCases:
    """`checkpoint`, `get_checkpoint`, `sleep`, `record_retry_attempt` and their lists."""

    async def test_the_first_state_is_stored_and_wins_for_ever(self, storage: Storage) -> None:
        await register(storage)
        first = await storage.checkpoint("own-1", 1, "step", b"first", now_ms=START_MS + 1)
        assert (first.found, first.state, first.existing_state) == (False, b"", None)
        second = await storage.checkpoint("own-1", 1, "step", b"second", now_ms=START_MS + 2)
        assert (second.found, second.state) == (True, b"first")
        instance = await get(storage, "own-1")
        assert (instance.checkpoint_id, instance.checkpoint_count) == ("step", 1)
        assert instance.last_contact_at_ms == START_MS + 1

    async def test_the_call_that_stored_a_checkpoint_hears_the_same_when_it_is_repeated(self, storage: Storage) -> None:
        await register(storage)
        for moment in range(3):
            answer = await storage.checkpoint("own-1", 1, "step", b"a", now_ms=START_MS + moment, call_key=b"call-1")
            assert (answer.found, answer.state) == (False, b"")
        for key in (b"call-2", b""):
            other = await storage.checkpoint("own-1", 1, "step", b"b", now_ms=START_MS, call_key=key)
            assert (other.found, other.state) == (True, b"a")
        assert (await get(storage, "own-1")).checkpoint_count == 1
        await send(storage, "own-1", SignalType.PAUSE)
        await storage.send_custom_signal("own-1", CustomSignal("step", b"news"), now_ms=START_MS)
        again = await storage.checkpoint("own-1", 1, "step", b"a", now_ms=START_MS, call_key=b"call-1")
        assert (again.found, again.should_pause) == (False, True)
        assert again.custom_signal == CustomSignal("step", b"news")

    async def test_a_call_without_a_key_finds_what_it_stored(self, storage: Storage) -> None:
        await register(storage)
        await storage.checkpoint("own-1", 1, "step", b"a", now_ms=START_MS)
        for key in (b"", b"call"):
            assert (await storage.checkpoint("own-1", 1, "step", b"a", now_ms=START_MS, call_key=key)).found

    async def test_a_call_key_is_bounded(self, storage: Storage) -> None:
        await register(storage)
        await storage.checkpoint("own-1", 1, "a", b"", now_ms=START_MS, call_key=bytes(64))
        with pytest.raises(InvalidInputError, match="call_key"):
            await storage.checkpoint("own-1", 1, "b", b"", now_ms=START_MS, call_key=bytes(65))

    async def test_an_empty_state_counts_as_stored(self, storage: Storage) -> None:
        await register(storage)
        await storage.checkpoint("own-1", 1, "empty", b"", now_ms=START_MS)
        again = await storage.checkpoint("own-1", 1, "empty", b"later", now_ms=START_MS)
        assert (again.found, again.existing_state) == (True, b"")
        assert await storage.get_checkpoint("own-1", "empty") == b""

    @pytest.mark.parametrize("checkpoint_id", ["a::b/c [0]", "код", "x" * 2_000, "' --", ":name"])
    async def test_checkpoint_ids_and_states_are_opaque(self, storage: Storage, checkpoint_id: str) -> None:
        await register(storage)
        state = bytes(range(256)) * 400
        await storage.checkpoint("own-1", 1, checkpoint_id, state, now_ms=START_MS)
        assert await storage.get_checkpoint("own-1", checkpoint_id) == state

    @pytest.mark.parametrize("checkpoint_id", ["", "x" * 2_001, "nul\0"])
    async def test_unusable_checkpoint_ids_are_refused(self, storage: Storage, checkpoint_id: str) -> None:
        await register(storage)
        with pytest.raises(InvalidInputError):
            await storage.checkpoint("own-1", 1, checkpoint_id, b"", now_ms=START_MS)

    async def test_instances_have_checkpoints_of_their_own(self, storage: Storage) -> None:
        await register(storage, "own-1")
        await register(storage, "own-2")
        await storage.checkpoint("own-1", 1, "step", b"1", now_ms=START_MS)
        assert not (await storage.checkpoint("own-2", 1, "step", b"2", now_ms=START_MS)).found

    async def test_a_checkpoint_needs_a_running_instance(self, storage: Storage) -> None:
        with pytest.raises(InstanceNotFoundError):
            await storage.checkpoint("nobody", 1, "step", b"", now_ms=START_MS)
        await register(storage)
        await storage.checkpoint("own-1", 1, "step", b"1", now_ms=START_MS)
        await report(storage, LeaseKey("own-1", 1), EventType.COMPLETED)
        for checkpoint_id in ("step", "next"):
            with pytest.raises(InvalidStateError):
                await storage.checkpoint("own-1", 1, checkpoint_id, b"2", now_ms=START_MS)
        assert await storage.get_checkpoint("own-1", "step") == b"1"
        assert await storage.get_checkpoint("own-1", "next") is None

    async def test_a_caller_without_an_epoch_may_advance_only_its_own_instance(self, storage: Storage) -> None:
        await register(storage)
        assert not (await storage.checkpoint("own-1", None, "step", b"1", now_ms=START_MS)).found
        await launched(storage)
        with pytest.raises(StaleEpochError):
            await storage.checkpoint("managed-1", None, "step", b"1", now_ms=START_MS)
        with pytest.raises(StaleEpochError):
            await storage.checkpoint("managed-1", 7, "step", b"1", now_ms=START_MS)

    async def test_checkpoints_outlive_the_launch(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.checkpoint("managed-1", key.epoch, "step", b"1", now_ms=START_MS)
        await report(storage, key, EventType.SUSPENDED)
        await send(storage, "managed-1", SignalType.RESUME)
        again = await launch(storage)
        found = await storage.checkpoint("managed-1", again.epoch, "step", b"2", now_ms=START_MS)
        assert (found.found, found.state) == (True, b"1")

    async def test_a_checkpoint_brings_the_waiting_signals(self, storage: Storage) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", SignalType.PAUSE)
        await storage.send_custom_signal("managed-1", CustomSignal("step", b"go"), now_ms=START_MS)
        await storage.send_custom_signal("managed-1", CustomSignal("other", b"no"), now_ms=START_MS)
        for _ in range(2):
            result = await storage.checkpoint("managed-1", key.epoch, "step", b"1", now_ms=START_MS)
            assert result.should_pause
            assert not result.should_cancel
            assert result.custom_signal == CustomSignal("step", b"go")
        await send(storage, "managed-1", SignalType.CANCEL)
        urgent = await storage.checkpoint("managed-1", key.epoch, "third", b"1", now_ms=START_MS)
        assert urgent.should_cancel
        assert urgent.custom_signal is None

    async def test_checkpoints_are_listed_newest_first(self, storage: Storage) -> None:
        await register(storage)
        for number in range(5):
            await storage.checkpoint("own-1", 1, f"step-{number}", b"x" * number, now_ms=START_MS + number)
        page = await storage.list_checkpoints("own-1", CheckpointFilter(limit=2, offset=1))
        assert page.total_count == 5
        assert [summary.checkpoint_id for summary in page.checkpoints] == ["step-3", "step-2"]
        assert [summary.data_size_bytes for summary in page.checkpoints] == [3, 2]
        assert page.checkpoints[0].created_at_ms == START_MS + 3
        assert (await storage.list_checkpoints("nobody", CheckpointFilter(limit=10, offset=0))).total_count == 0
        with pytest.raises(InvalidInputError):
            await storage.list_checkpoints("own-1", CheckpointFilter(limit=-1, offset=0))

    async def test_checkpoints_are_listed_by_filter(self, storage: Storage) -> None:
        epoch = await register(storage)
        for number in range(4):
            await storage.checkpoint("own-1", epoch, f"step-{number}", b"", now_ms=START_MS + number)

        async def numbers(**where: Any) -> str:
            page = await storage.list_checkpoints("own-1", CheckpointFilter(**where))
            return (
                "".join(each.checkpoint_id.removeprefix("step-") for each in page.checkpoints) + f"/{page.total_count}"
            )

        assert await numbers() == "3210/4"
        assert await numbers(checkpoint_id="step-2") == "2/1"
        assert await numbers(checkpoint_id="step-9") == "/0"
        assert await numbers(created_after_ms=START_MS + 1, created_before_ms=START_MS + 3) == "21/2"
        assert await numbers(before_checkpoint_id="step-2", limit=1, without_total=True) == "1/0"
        assert await numbers(before_checkpoint_id="step-0") == "/0"
        assert await numbers(before_checkpoint_id="nul\0nul") == "/0"
        assert await numbers(before_checkpoint_id="step-2", checkpoint_id="step-3") == "/0"

    async def test_one_checkpoint_is_loaded_with_its_state(self, storage: Storage) -> None:
        await register(storage)
        await storage.checkpoint("own-1", 1, "step", b"1", now_ms=START_MS)
        record = await storage.load_checkpoint("own-1", "step")
        assert record is not None
        assert (record.instance_id, record.checkpoint_id, record.state) == ("own-1", "step", b"1")
        assert record.created_at_ms == START_MS
        assert await storage.load_checkpoint("own-1", "other") is None
        assert await storage.load_checkpoint("nobody", "step") is None

    async def test_a_sleep_keeps_the_deadline_of_its_first_call(self, storage: Storage) -> None:
        await register(storage)
        wake_at_ms = START_MS + 5_000

        async def sleep(now_ms: int, duration_ms: int = 5_000) -> SleepOutcome:
            return await storage.sleep(
                "own-1", 1, "nap", b"s", duration_ms=duration_ms, suspend_above_ms=None, now_ms=now_ms
            )

        assert await sleep(START_MS) == SleepOutcome(SleepState.WAIT, wake_at_ms, 5_000)
        assert await sleep(START_MS + 2_000, 9_999) == SleepOutcome(SleepState.WAIT, wake_at_ms, 3_000)
        assert await sleep(wake_at_ms) == SleepOutcome(SleepState.DONE, wake_at_ms, 0)
        # Done for ever, even should the clock be set back.
        assert await sleep(START_MS) == SleepOutcome(SleepState.DONE, wake_at_ms, 0)
        assert await storage.get_checkpoint("own-1", "nap") == b"s"
        assert (await get(storage, "own-1")).checkpoint_id == "nap"

    async def test_a_sleep_of_nothing_is_done(self, storage: Storage) -> None:
        await register(storage)
        outcome = await storage.sleep("own-1", 1, "nap", b"", duration_ms=0, suspend_above_ms=0, now_ms=START_MS)
        assert outcome.state is SleepState.DONE
        with pytest.raises(InvalidInputError):
            await storage.sleep("own-1", 1, "back", b"", duration_ms=-1, suspend_above_ms=None, now_ms=START_MS)

    async def test_a_long_sleep_suspends_and_is_launched_at_its_deadline(self, storage: Storage) -> None:
        key = await launched(storage)
        arguments = {"duration_ms": _HOUR_MS, "suspend_above_ms": 30_000}
        asleep = SleepOutcome(SleepState.SUSPENDED, START_MS + _HOUR_MS, _HOUR_MS)
        for _ in range(2):  # repeated, as after a lost answer
            outcome = await storage.sleep("managed-1", key.epoch, "nap", b"", **arguments, now_ms=START_MS)
            assert outcome == asleep
        instance = await get(storage, "managed-1")
        assert instance.status is InstanceStatus.SUSPENDED
        assert instance.termination_reason is TerminationReason.SLEEPING
        assert instance.wake_at_ms == asleep.wake_at_ms
        assert instance.finished_at_ms is None
        assert await storage.next_wake_at_ms() == asleep.wake_at_ms
        assert await claim(storage, now_ms=asleep.wake_at_ms - 1) == []
        again = await launch(storage, now_ms=asleep.wake_at_ms)
        outcome = await storage.sleep("managed-1", again.epoch, "nap", b"", **arguments, now_ms=asleep.wake_at_ms)
        assert outcome.state is SleepState.DONE

    async def test_a_sleep_that_is_short_enough_is_waited_for(self, storage: Storage) -> None:
        key = await launched(storage)
        outcome = await storage.sleep(
            "managed-1", key.epoch, "nap", b"", duration_ms=30_000, suspend_above_ms=30_000, now_ms=START_MS
        )
        assert outcome.state is SleepState.WAIT

    @pytest.mark.parametrize("signal_type", [SignalType.CANCEL, SignalType.PAUSE])
    async def test_no_sleep_suspends_while_a_signal_waits(self, storage: Storage, signal_type: SignalType) -> None:
        key = await launched(storage)
        await send(storage, "managed-1", signal_type)
        outcome = await storage.sleep(
            "managed-1", key.epoch, "nap", b"", duration_ms=_HOUR_MS, suspend_above_ms=0, now_ms=START_MS
        )
        assert outcome.state is SleepState.WAIT

    async def test_a_sleep_needs_a_running_instance(self, storage: Storage) -> None:
        await register(storage)
        await report(storage, LeaseKey("own-1", 1), EventType.COMPLETED)
        with pytest.raises(InvalidStateError):
            await storage.sleep("own-1", 1, "nap", b"", duration_ms=1, suspend_above_ms=None, now_ms=START_MS)

    async def test_retry_attempts_stay_out_of_the_checkpoints(self, storage: Storage) -> None:
        await register(storage)
        for _ in range(2):
            await storage.record_retry_attempt(
                "own-1", 1, "step", attempt_number=2, error="refused\0", now_ms=START_MS + 7
            )
        await storage.record_retry_attempt("own-1", 1, "step", attempt_number=3, error=None, now_ms=START_MS)
        assert (await storage.list_checkpoints("own-1", CheckpointFilter(limit=10, offset=0))).total_count == 0
        assert await storage.get_checkpoint("own-1", "step") is None
        with pytest.raises(InstanceNotFoundError):
            await storage.record_retry_attempt("nobody", 1, "step", attempt_number=2, error=None, now_ms=START_MS)
        await create(storage)
        with pytest.raises(StaleEpochError):
            await storage.record_retry_attempt("managed-1", 4, "step", attempt_number=2, error=None, now_ms=START_MS)
