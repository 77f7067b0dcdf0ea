"""Retries and forks."""

from __future__ import annotations

import asyncio
import json

import pytest
from runtara_sdk.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import (
    CallProgress,
    CustomSignal,
    EventType,
    InstanceStatus,
    SignalType,
    SleepState,
    TerminationReason,
)

from runtara_core.models import (
    CheckpointFilter,
    EventFilter,
    ExitReport,
    ForkedInstance,
    InstanceFork,
    LeaseKey,
    RetriedInstance,
)
from runtara_core.storage import Storage
from runtara_core.testing.storage_suite.scenario import (
    LIMITS,
    START_MS,
    claim,
    create,
    event_types,
    get,
    launch,
    launched,
    register,
    report,
    send,
)

_LATER_MS = START_MS + 3_600_000


def _key(step: str, instance_id: str = "managed-1", *further: str) -> str:
    """The id under which a step of a scenario records its result."""
    return "::".join(("order", instance_id, "agent", "http", "http-request", step, *further))


async def _failed(storage: Storage, *recorded: str, error: bytes = b"no") -> LeaseKey:
    """An instance that recorded something and failed; each record is a second after the one before."""
    key = await launched(storage)
    for place, checkpoint_id in enumerate(recorded):
        await storage.checkpoint(
            key.instance_id, key.epoch, checkpoint_id, checkpoint_id.encode(), now_ms=START_MS + 1_000 * place
        )
    await report(storage, key, EventType.FAILED, error, now_ms=START_MS + 60_000)
    return key


async def _checkpoints(storage: Storage, instance_id: str) -> list[str]:
    """Ids of all checkpoints, in the order of their records."""
    page = await storage.list_checkpoints(instance_id, CheckpointFilter(limit=1_000, offset=0))
    return [item.checkpoint_id for item in reversed(page.checkpoints)]


async def _attempt(storage: Storage, key: LeaseKey, checkpoint_id: str, *, now_ms: int = START_MS) -> None:
    await storage.record_retry_attempt(
        key.instance_id, key.epoch, checkpoint_id, attempt_number=2, error="away", retries_used=1, now_ms=now_ms
    )


class RestartCases:
    """`retry_instance`, `fork_instance`."""

    async def test_a_retry_makes_a_failed_instance_due_with_its_records(self, storage: Storage) -> None:
        key = await _failed(storage, "one", "two")
        assert await storage.retry_instance("managed-1", now_ms=_LATER_MS) == RetriedInstance("managed-1", False)
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.wake_at_ms) == (InstanceStatus.PENDING, _LATER_MS)
        assert (instance.finished_at_ms, instance.error, instance.termination_reason) == (None, None, None)
        assert (instance.epoch, instance.attempt) == (key.epoch + 1, 2)
        assert instance.input == b'{"data":{}}'
        assert await _checkpoints(storage, "managed-1") == ["one", "two"]
        (claimed,) = await claim(storage, now_ms=_LATER_MS)
        assert (claimed.epoch, claimed.checkpoint_id) == (key.epoch + 2, "two")

    async def test_the_end_that_a_retry_undid_is_kept_as_an_event(self, storage: Storage) -> None:
        key = await _failed(storage, error=b"the shop is closed")
        await storage.retry_instance("managed-1", now_ms=_LATER_MS)
        assert await event_types(storage, "managed-1") == ["started", "failed", "custom"]
        (event,) = (await storage.list_events("managed-1", EventFilter(subtype="instance_retried"))).events
        assert json.loads(event.payload or b"") == {
            "status": "failed",
            "termination_reason": "application_error",
            "error": "the shop is closed",
            "finished_at_ms": START_MS + 60_000,
        }
        assert key.epoch == 1

    async def test_the_process_of_the_ended_launch_is_fenced(self, storage: Storage) -> None:
        key = await _failed(storage)
        await storage.retry_instance("managed-1", now_ms=_LATER_MS)
        with pytest.raises(StaleEpochError):
            await register(storage, "managed-1", epoch=key.epoch, now_ms=_LATER_MS)
        with pytest.raises(StaleEpochError):
            await report(storage, key, EventType.FAILED, b"again", now_ms=_LATER_MS)
        decision = await storage.report_exit(
            key, ExitReport(TerminationReason.CRASHED, 1), limits=LIMITS, now_ms=_LATER_MS
        )
        assert decision.stale
        assert (await get(storage, "managed-1")).status is InstanceStatus.PENDING

    async def test_only_what_has_failed_or_was_cancelled_is_retried(self, storage: Storage) -> None:
        with pytest.raises(InstanceNotFoundError):
            await storage.retry_instance("unknown", now_ms=START_MS)
        await create(storage)
        with pytest.raises(InvalidStateError, match="is pending"):
            await storage.retry_instance("managed-1", now_ms=START_MS)
        key = await launch(storage)
        with pytest.raises(InvalidStateError, match="is running"):
            await storage.retry_instance("managed-1", now_ms=START_MS)
        await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=60_000, suspend_above_ms=0, now_ms=START_MS)
        with pytest.raises(InvalidStateError, match="is suspended"):
            await storage.retry_instance("managed-1", now_ms=START_MS)
        await send(storage, "managed-1", SignalType.CANCEL)
        assert await storage.retry_instance("managed-1", now_ms=START_MS) == RetriedInstance("managed-1", False)
        await report(storage, await launch(storage), EventType.COMPLETED)
        with pytest.raises(InvalidStateError, match="is completed"):
            await storage.retry_instance("managed-1", now_ms=START_MS)

    async def test_of_two_retries_at_once_one_is_refused(self, storage: Storage) -> None:
        key = await _failed(storage)
        answers = await asyncio.gather(
            *(storage.retry_instance("managed-1", now_ms=_LATER_MS) for _ in range(4)), return_exceptions=True
        )
        assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [InvalidStateError] * 3
        assert (await get(storage, "managed-1")).epoch == key.epoch + 1

    async def test_a_retry_made_again_with_its_key_changes_nothing(self, storage: Storage) -> None:
        await _failed(storage)
        first = await storage.retry_instance("managed-1", retry_key="k", now_ms=_LATER_MS)
        key = await launch(storage, now_ms=_LATER_MS)
        again = await storage.retry_instance("managed-1", retry_key="k", now_ms=_LATER_MS)
        await report(storage, key, EventType.FAILED, b"again", now_ms=_LATER_MS)
        late = await storage.retry_instance("managed-1", retry_key="k", now_ms=_LATER_MS)
        assert [each.deduplicated for each in (first, again, late)] == [False, True, True]
        instance = await get(storage, "managed-1")
        assert (instance.status, instance.epoch) == (InstanceStatus.FAILED, key.epoch)
        other = await storage.retry_instance("managed-1", retry_key="other", now_ms=_LATER_MS)
        assert not other.deduplicated
        with pytest.raises(InvalidInputError):
            await storage.retry_instance("managed-1", retry_key="k" * 5_000, now_ms=_LATER_MS)

    async def test_a_retry_forgets_the_attempts_of_calls_without_a_result(self, storage: Storage) -> None:
        key = await launched(storage)
        await _attempt(storage, key, "done")
        await storage.checkpoint("managed-1", key.epoch, "done", b"result", now_ms=START_MS)
        await _attempt(storage, key, "exhausted")
        await report(storage, key, EventType.FAILED, b"no")
        await storage.retry_instance("managed-1", now_ms=_LATER_MS)
        assert await storage.get_progress("managed-1", "exhausted", now_ms=_LATER_MS) == CallProgress()
        assert await storage.get_progress("managed-1", "done", now_ms=_LATER_MS) == CallProgress(b"result")
        again = await launch(storage, now_ms=_LATER_MS)
        await _attempt(storage, again, "exhausted", now_ms=_LATER_MS)
        page = await storage.list_events("managed-1", EventFilter(subtype="retry_attempt"))
        assert [event.checkpoint_id for event in page.events] == ["exhausted", "exhausted", "done"]

    async def test_a_retry_begins_the_counters_anew(self, storage: Storage) -> None:
        key = await launched(storage)
        crash = ExitReport(TerminationReason.CRASHED, 1)
        now_ms = START_MS
        for _ in range(LIMITS.recovery.max_recoveries):
            decision = await storage.report_exit(key, crash, limits=LIMITS, now_ms=now_ms)
            now_ms = decision.wake_at_ms or 0
            key = await launch(storage, now_ms=now_ms)
        assert (await storage.report_exit(key, crash, limits=LIMITS, now_ms=now_ms)).status is InstanceStatus.FAILED
        await storage.retry_instance("managed-1", now_ms=now_ms)
        assert (await get(storage, "managed-1")).recovery_attempts == 0
        key = await launch(storage, now_ms=now_ms)
        assert (await storage.report_exit(key, crash, limits=LIMITS, now_ms=now_ms)).wake_at_ms == now_ms
        await claim(storage, now_ms=now_ms)
        failed = LeaseKey("managed-1", key.epoch + 1)
        await storage.report_launch_failure(failed, "no image", permanent=True, limits=LIMITS, now_ms=now_ms)
        await storage.retry_instance("managed-1", now_ms=now_ms)
        (claimed,) = await claim(storage, now_ms=now_ms)
        assert claimed.failed_launches == 0

    async def test_signals_that_waited_are_gone_and_custom_signals_stay(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.send_custom_signal("managed-1", CustomSignal("gate", b"yes"), now_ms=START_MS)
        await send(storage, "managed-1", SignalType.CANCEL)
        await report(storage, key, EventType.FAILED, b"no")
        await storage.retry_instance("managed-1", now_ms=_LATER_MS)
        again = await launch(storage, now_ms=_LATER_MS)
        poll = await storage.poll_signals("managed-1", again.epoch, "gate", now_ms=_LATER_MS)
        assert (poll.signal, poll.custom_signal) == (None, CustomSignal("gate", b"yes"))

    async def test_a_deadline_that_has_passed_stays_passed(self, storage: Storage) -> None:
        key = await launched(storage)
        await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=5, suspend_above_ms=None, now_ms=START_MS)
        await report(storage, key, EventType.FAILED, b"no")
        await storage.retry_instance("managed-1", now_ms=_LATER_MS)
        again = await launch(storage, now_ms=_LATER_MS)
        outcome = await storage.sleep(
            "managed-1", again.epoch, "nap", b"", duration_ms=60_000, suspend_above_ms=0, now_ms=_LATER_MS
        )
        assert outcome.state is SleepState.DONE

    async def test_an_instance_of_its_own_program_goes_on_when_that_registers(self, storage: Storage) -> None:
        key = LeaseKey("own-1", await register(storage))
        await report(storage, key, EventType.FAILED, b"no")
        await storage.retry_instance("own-1", now_ms=_LATER_MS)
        assert await claim(storage, now_ms=_LATER_MS) == []
        assert await storage.next_wake_at_ms() is None
        assert await register(storage, now_ms=_LATER_MS) == key.epoch + 2

    async def test_a_fork_gets_what_was_recorded_before_a_step(self, storage: Storage) -> None:
        await _failed(storage, _key("a"), _key("b"), _key("b", "managed-1", "part", "1"), _key("c"))
        created = await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b"), now_ms=_LATER_MS)
        assert created == ForkedInstance("fork-1", False, 1, 3, _key("a"))
        fork, origin = await get(storage, "fork-1"), await get(storage, "managed-1")
        assert (fork.status, fork.wake_at_ms, fork.created_at_ms) == (InstanceStatus.PENDING, _LATER_MS, _LATER_MS)
        assert (fork.tenant_id, fork.image_id, fork.input) == (origin.tenant_id, origin.image_id, origin.input)
        assert fork.launch_options == origin.launch_options
        assert await _checkpoints(storage, "fork-1") == [_key("a", "fork-1")]
        record = await storage.load_checkpoint("fork-1", _key("a", "fork-1"))
        assert record is not None
        assert (record.state, record.created_at_ms) == (_key("a").encode(), START_MS)
        assert (fork.checkpoint_id, fork.checkpoint_count) == (_key("a", "fork-1"), 1)
        assert (origin.status, origin.checkpoint_count) == (InstanceStatus.FAILED, 4)
        (event,) = (await storage.list_events("fork-1", EventFilter())).events
        assert (event.subtype, json.loads(event.payload or b"")) == (
            "instance_forked",
            {"origin_id": "managed-1", "from_step": "b", "copied": 1, "left_out": 3, "last_copied": _key("a")},
        )

    async def test_a_fork_is_launched_as_a_new_instance_that_has_records(self, storage: Storage) -> None:
        await _failed(storage, "a", "b")
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b"), now_ms=_LATER_MS)
        (claimed,) = await claim(storage, now_ms=_LATER_MS)
        assert (claimed.instance_id, claimed.checkpoint_id) == ("fork-1", "a")
        registration = await storage.register_instance(
            "fork-1", claimed.tenant_id, epoch=claimed.epoch, checkpoint_id=None, limits=LIMITS, now_ms=_LATER_MS
        )
        assert not registration.is_new
        stored = await storage.checkpoint("fork-1", claimed.epoch, "a", b"other", now_ms=_LATER_MS)
        assert (stored.found, stored.state) == (True, b"a")

    async def test_a_fork_from_a_checkpoint_or_from_the_end(self, storage: Storage) -> None:
        await _failed(storage, _key("a"), "plain", _key("b"))
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "plain"), now_ms=_LATER_MS)
        await storage.fork_instance(InstanceFork("fork-2", "managed-1"), now_ms=_LATER_MS)
        assert await _checkpoints(storage, "fork-1") == [_key("a", "fork-1")]
        assert await _checkpoints(storage, "fork-2") == [_key("a", "fork-2"), "plain", _key("b", "fork-2")]

    async def test_a_fork_from_the_step_that_failed(self, storage: Storage) -> None:
        error = json.dumps({"code": "NO", "message": "no", "stepId": "c"}).encode()
        key = await launched(storage)
        await storage.checkpoint("managed-1", key.epoch, _key("a"), b"", now_ms=START_MS)
        await _attempt(storage, key, _key("b"), now_ms=START_MS + 1)
        await storage.checkpoint("managed-1", key.epoch, _key("beside"), b"", now_ms=START_MS + 2)
        await report(storage, key, EventType.FAILED, error)
        await storage.fork_instance(InstanceFork("fork-b", "managed-1", "b"), now_ms=_LATER_MS)
        await storage.fork_instance(InstanceFork("fork-c", "managed-1", "c"), now_ms=_LATER_MS)
        assert await _checkpoints(storage, "fork-b") == [_key("a", "fork-b")]
        assert await _checkpoints(storage, "fork-c") == [_key("a", "fork-c"), _key("beside", "fork-c")]

    async def test_an_unknown_step_is_refused_with_those_that_are_known(self, storage: Storage) -> None:
        await _failed(storage, _key("a"), _key("b"), "plain")
        with pytest.raises(InvalidInputError, match=r"no record of step 'x'.*'a', 'b', 'plain'"):
            await storage.fork_instance(InstanceFork("fork-1", "managed-1", "x"), now_ms=_LATER_MS)
        assert await storage.get_instance("fork-1") is None

    async def test_sleeps_and_attempts_of_copied_calls_come_along(self, storage: Storage) -> None:
        key = await launched(storage)
        await _attempt(storage, key, "a")
        await storage.checkpoint("managed-1", key.epoch, "a", b"result", now_ms=START_MS)
        await storage.sleep("managed-1", key.epoch, "nap", b"", duration_ms=5, suspend_above_ms=None, now_ms=START_MS)
        await storage.checkpoint("managed-1", key.epoch, "b", b"", now_ms=START_MS)
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b"), now_ms=START_MS)
        again = await launch(storage, "fork-1", now_ms=_LATER_MS)
        outcome = await storage.sleep(
            "fork-1", again.epoch, "nap", b"", duration_ms=60_000, suspend_above_ms=0, now_ms=_LATER_MS
        )
        assert outcome.state is SleepState.DONE
        assert await storage.get_progress("fork-1", "a", now_ms=_LATER_MS) == CallProgress(b"result")

    async def test_time_limits_begin_anew_in_a_fork(self, storage: Storage) -> None:
        run = "order::managed-1::run"
        await _failed(storage, f"{run}::deadline", _key("a"), "order::managed-1::rate_limit::0", _key("b"))
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b"), now_ms=_LATER_MS)
        assert await _checkpoints(storage, "fork-1") == [_key("a", "fork-1")]

    async def test_a_dry_run_of_a_fork_creates_nothing(self, storage: Storage) -> None:
        await _failed(storage, "a", "b")
        forked = await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b", dry_run=True), now_ms=_LATER_MS)
        assert forked == ForkedInstance("fork-1", False, 1, 1, "a")
        assert await storage.get_instance("fork-1") is None

    async def test_a_fork_with_another_image_that_is_not_due_yet(self, storage: Storage) -> None:
        await _failed(storage, "a")
        fork = InstanceFork("fork-1", "managed-1", "a", "image-2", b'{"digest":"2"}', due=False)
        await storage.fork_instance(fork, now_ms=_LATER_MS)
        instance = await get(storage, "fork-1")
        assert (instance.image_id, instance.launch_options) == ("image-2", b'{"digest":"2"}')
        assert await claim(storage, now_ms=_LATER_MS) == []
        await send(storage, "fork-1", SignalType.RESUME, now_ms=_LATER_MS)
        (claimed,) = await claim(storage, now_ms=_LATER_MS)
        assert (claimed.image_id, claimed.checkpoint_id) == ("image-2", None)

    async def test_the_same_fork_again_is_recognised_and_another_refused(self, storage: Storage) -> None:
        await _failed(storage, "a", "b")
        fork = InstanceFork("fork-1", "managed-1", "b")
        await storage.fork_instance(fork, now_ms=START_MS)
        again = await storage.fork_instance(fork, now_ms=_LATER_MS)
        assert again == ForkedInstance("fork-1", True, 1, 1, "a")
        assert (await get(storage, "fork-1")).created_at_ms == START_MS
        for other in (
            InstanceFork("fork-1", "managed-1", "a"),
            InstanceFork("fork-1", "managed-1", "b", "image-2"),
            InstanceFork("managed-1", "managed-1", "b"),
        ):
            with pytest.raises(InstanceExistsError):
                await storage.fork_instance(other, now_ms=_LATER_MS)
        with pytest.raises(InstanceNotFoundError):
            await storage.fork_instance(InstanceFork("fork-2", "unknown"), now_ms=_LATER_MS)
        with pytest.raises(InvalidInputError):
            await storage.fork_instance(InstanceFork("fork-2", "managed-1", "b", ""), now_ms=_LATER_MS)
        with pytest.raises(InvalidInputError):
            await storage.fork_instance(InstanceFork("", "managed-1", "b"), now_ms=_LATER_MS)

    async def test_a_running_instance_is_forked_as_it_is(self, storage: Storage) -> None:
        key = await launched(storage)
        for name in ("a", "b"):
            await storage.checkpoint("managed-1", key.epoch, name, b"", now_ms=START_MS)
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "b"), now_ms=START_MS)
        await storage.checkpoint("managed-1", key.epoch, "c", b"", now_ms=START_MS)
        assert await _checkpoints(storage, "fork-1") == ["a"]
        assert await _checkpoints(storage, "managed-1") == ["a", "b", "c"]

    async def test_what_no_environment_launches_cannot_be_forked(self, storage: Storage) -> None:
        await register(storage)
        with pytest.raises(InvalidStateError):
            await storage.fork_instance(InstanceFork("fork-1", "own-1"), now_ms=START_MS)

    async def test_a_fork_of_more_checkpoints_than_one_statement_copies(self, storage: Storage) -> None:
        key = await launched(storage)
        for number in range(405):
            await storage.checkpoint("managed-1", key.epoch, f"{number}", b"", now_ms=START_MS)
        await storage.fork_instance(InstanceFork("fork-1", "managed-1", "403"), now_ms=START_MS)
        page = await storage.list_checkpoints("fork-1", CheckpointFilter(limit=2, offset=0))
        assert (page.total_count, page.checkpoints[0].checkpoint_id) == (403, "402")
