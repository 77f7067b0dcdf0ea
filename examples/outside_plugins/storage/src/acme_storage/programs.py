"""The verbs of programs."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Sequence

from runtara_core.models import CoreLimits, EventRecord, LeaseKey, WatchedInstance
from runtara_core.retry_events import retry_attempt_event
from runtara_core.storage import MAX_FOUND_BYTES, Storage
from runtara_sdk.errors import (
    AnswerTooLargeError,
    ConcurrencyLimitError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
    StaleEpochError,
)
from runtara_sdk.models import (
    ALONE,
    MAX_CHECKPOINTS,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    RetryState,
    SignalPoll,
    SignalType,
    SignalWait,
    SignalWaitState,
    SleepOutcome,
    SleepState,
    TerminationReason,
    WaitsBeside,
)

from acme_storage.checks import require_duration, require_few, require_name, require_text, tail
from acme_storage.record import ERROR_CHARACTERS, Attempt, Deadline, Record

ADOPTION_LEASE_MS = 60_000
_MAX_TIME_MS = 2**53
MAX_WAITS_BESIDE = 1_000
_REASONS_OF_EVENTS = ("paused", "sleeping", "waiting_signal", "shutdown_requested")


class ProgramVerbs(Storage):
    """What a running program calls."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.first_epoch = 0
        self.sequence: Iterator[int] = itertools.count(1)

    def record(self, instance_id: str) -> Record:
        found = self.records.get(instance_id)
        if found is None:
            raise InstanceNotFoundError(f"instance {instance_id} does not exist")
        return found

    def current(self, instance_id: str, epoch: int | None) -> Record:
        record = self.record(instance_id)
        record.require_current(epoch)
        return record

    def running_count(self, tenant_id: str | None = None) -> int:
        return sum(record.is_running and tenant_id in (None, record.tenant_id) for record in self.records.values())

    async def register_instance(
        self,
        instance_id: str,
        tenant_id: str,
        *,
        epoch: int | None,
        checkpoint_id: str | None,
        registration_key: str | None = None,
        limits: CoreLimits,
        now_ms: int,
    ) -> Registration:
        require_name("instance_id", instance_id)
        require_name("tenant_id", tenant_id)
        if registration_key is not None:
            require_name("event_key", f"registration:{registration_key}")
        if epoch is None and instance_id not in self.records:
            record = Record(instance_id, tenant_id, None, self.first_epoch, now_ms)
        else:
            record = self.record(instance_id)
        if record.tenant_id != tenant_id:
            raise InvalidInputError(f"instance id {instance_id} is taken: choose another")
        if registration_key is not None and registration_key in record.registrations:
            if not record.is_running or record.registrations[registration_key] != record.epoch:
                raise StaleEpochError(f"instance {instance_id}: the registration is of the past")
            return Registration(record.epoch)
        if epoch is not None:
            record.require_current(epoch)
            if record.status not in (InstanceStatus.RUNNING, InstanceStatus.PENDING):
                raise InvalidStateError(f"instance {instance_id} is {record.status}")
        elif record.image_id is not None:
            raise InvalidStateError(f"instance {instance_id} is launched by an environment")
        else:
            record.require_unfinished()
        if checkpoint_id is not None:
            require_name("checkpoint_id", checkpoint_id)
            if checkpoint_id not in record.checkpoints:
                raise InvalidInputError(f"instance {instance_id} has no checkpoint {checkpoint_id!r}")
        if not record.is_running and self.running_count() >= limits.max_concurrent_instances:
            raise ConcurrencyLimitError("too many instances run already; try again later")
        most_of_tenant = limits.max_concurrent_instances_of_tenant
        if not record.is_running and most_of_tenant and self.running_count(tenant_id) >= most_of_tenant:
            raise ConcurrencyLimitError("too many instances of the tenant run already; try again later")
        is_new = record.started_at_ms is None and not record.checkpoints
        self.records[instance_id] = record
        if record.image_id is not None and record.lease_until_ms is None:
            record.lease_until_ms = now_ms + ADOPTION_LEASE_MS
        if record.is_running and epoch is None:
            record.close_signal(SignalType.SHUTDOWN, now_ms)
        record.status, record.reason, record.error = InstanceStatus.RUNNING, None, None
        record.epoch = record.epoch + 1 if epoch is None else epoch
        record.started_at_ms = record.last_contact_at_ms = now_ms
        record.finished_at_ms = record.wake_at_ms = None
        record.failed_launches = 0
        if registration_key is not None:
            record.registrations[registration_key] = record.epoch
        self._append(record, EventType.STARTED, now_ms, checkpoint_id=checkpoint_id)
        return Registration(record.epoch, is_new)

    async def checkpoint(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        state: bytes,
        *,
        now_ms: int,
        call_key: bytes = b"",
    ) -> CheckpointResult:
        new = NewCheckpoint(checkpoint_id, state, call_key)
        _require_storable(new)
        record = self.current(instance_id, epoch)
        record.require_running()
        return _store(record, new, now_ms)

    async def checkpoints(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint], *, now_ms: int
    ) -> list[CheckpointResult]:
        if not 0 < len(new) <= MAX_CHECKPOINTS:
            raise InvalidInputError(f"{len(new)} checkpoints: store 1 to {MAX_CHECKPOINTS} at once")
        for number, each in enumerate(new, 1):
            _require_storable(each, f"checkpoint {number}: ")
        record = self.current(instance_id, epoch)
        record.require_running()
        there = [record.checkpoints[each.checkpoint_id] for each in new if each.checkpoint_id in record.checkpoints]
        if sum(len(each.state) for each in there) > MAX_FOUND_BYTES:
            raise AnswerTooLargeError("what is there already is more than one answer may hold: ask for each alone")
        return [_store(record, each, now_ms) for each in new]

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> bytes | None:
        record = self.records.get(instance_id)
        found = record.checkpoints.get(checkpoint_id) if record else None
        return found.state if found else None

    async def get_progress(
        self, instance_id: str, checkpoint_id: str, *, now_ms: int, epoch: int | None = None
    ) -> CallProgress:
        state = await self.get_checkpoint(instance_id, checkpoint_id)
        record = self.records.get(instance_id)
        if record is not None and epoch is not None:
            record.require_current(epoch)
        attempts = record.attempts.get(checkpoint_id) if record else None
        if state is not None or not attempts:
            return CallProgress(state)
        number = max(attempts)
        last = attempts[number]
        return CallProgress(
            retry=RetryState(
                attempt_number=number,
                error=last.attempt.error,
                next_attempt_at_ms=last.next_attempt_at_ms,
                remaining_ms=max(0, last.next_attempt_at_ms - now_ms),
                retries_used=last.attempt.retries_used,
                rate_limit_waited_ms=last.attempt.rate_limit_waited_ms,
            )
        )

    async def sleep(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        state: bytes,
        *,
        duration_ms: int,
        suspend_above_ms: int | None,
        now_ms: int,
    ) -> SleepOutcome:
        require_name("checkpoint_id", checkpoint_id)
        require_duration(duration_ms)
        record = self.current(instance_id, epoch)
        deadline = record.deadlines.get(checkpoint_id)
        if not record.is_running and record.reason is TerminationReason.SLEEPING and deadline and not deadline.done:
            return _sleep_outcome(SleepState.SUSPENDED, deadline.wake_at_ms, now_ms)
        record.require_running()
        is_new = deadline is None
        if deadline is None:
            deadline = record.deadlines[checkpoint_id] = Deadline(now_ms + duration_ms)
            record.store_checkpoint(checkpoint_id, state, now_ms)
        if deadline.done or deadline.wake_at_ms <= now_ms:
            deadline.done = True
            record.heard_of(now_ms)
            return SleepOutcome(SleepState.DONE, deadline.wake_at_ms, 0)
        if _suspends(record, deadline.wake_at_ms, suspend_above_ms, now_ms):
            if is_new:
                record.recovery_attempts = 0
            record.sleep_until(TerminationReason.SLEEPING, now_ms, deadline.wake_at_ms)
            return _sleep_outcome(SleepState.SUSPENDED, deadline.wake_at_ms, now_ms)
        record.heard_of(now_ms, always=True)
        return _sleep_outcome(SleepState.WAIT, deadline.wake_at_ms, now_ms)

    async def report_event(
        self, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
    ) -> InstanceStatus:
        kind, key = event.event_type, event.event_key
        if kind is EventType.STARTED:
            raise InvalidInputError("event started is written by the registration")
        if key is not None:
            require_name("event_key", key)
        require_text("subtype", event.subtype)
        record = self.current(instance_id, epoch)
        if kind is EventType.HEARTBEAT:
            record.heard_of(now_ms, always=True)
            return record.status
        if key is not None and key in record.event_keys:
            return record.status
        if kind is not EventType.CUSTOM:
            if _repeats(record, kind):
                return record.status
            record.require_running()
        self._append(record, kind, now_ms, event.checkpoint_id, event.subtype, event.payload or None)
        if key is not None:
            record.event_keys.add(key)
        record.last_contact_at_ms = now_ms
        match kind:
            case EventType.COMPLETED:
                output = event.payload or None
                record.become(InstanceStatus.COMPLETED, TerminationReason.COMPLETED, now_ms, output=output)
            case EventType.FAILED:
                error = _error_text(event.payload)
                record.become(InstanceStatus.FAILED, TerminationReason.APPLICATION_ERROR, now_ms, error=error)
            case EventType.SUSPENDED:
                _suspend(record, event, now_ms)
        return record.status

    async def poll_signals(
        self, instance_id: str, epoch: int | None, checkpoint_id: str | None, *, now_ms: int
    ) -> SignalPoll:
        record = self.current(instance_id, epoch)
        record.heard_of(now_ms)
        return SignalPoll(record.waiting_signal(), _custom(record, checkpoint_id), record.status)

    async def find_news(self, watched: Sequence[WatchedInstance]) -> list[WatchedInstance]:
        require_few(watched)
        return [each for each in watched if self._has_news(each)]

    def _has_news(self, watched: WatchedInstance) -> bool:
        record = self.records.get(watched.instance_id)
        if record is None or record.epoch != watched.epoch or record.status.is_terminal:
            return True
        signal = record.waiting_signal()
        return (
            signal.signal_id if signal else 0
        ) != watched.signal_id or watched.checkpoint_id in record.custom_signals

    async def record_contacts(self, keys: Sequence[LeaseKey], *, now_ms: int) -> None:
        require_few(keys)
        for key in keys:
            record = self.records.get(key.instance_id)
            if record is not None and record.epoch == key.epoch and record.is_running:
                record.heard_of(now_ms, always=True)

    async def acknowledge_signal(
        self, instance_id: str, epoch: int | None, signal_type: SignalType, signal_id: int | None, *, now_ms: int
    ) -> InstanceStatus:
        record = self.current(instance_id, epoch)
        if signal_type is SignalType.RESUME:
            return record.status
        sent = record.signals.get(signal_type)
        if sent is None or (signal_id is not None and signal_id > sent.signal_id):
            raise InvalidInputError(f"instance {instance_id} was sent no such {signal_type} signal")
        if sent.acknowledged and (not record.is_running or epoch is None):
            return record.status
        record.require_running()
        record.last_contact_at_ms = now_ms
        if signal_type is SignalType.CANCEL:
            sent.acknowledged_at_ms = now_ms
            return record.become(InstanceStatus.CANCELLED, TerminationReason.CANCELLED, now_ms)
        if signal_type is SignalType.SHUTDOWN:
            return record.park(TerminationReason.SHUTDOWN_REQUESTED, now_ms, now_ms)
        # A pause that was withdrawn after the program had read it: launched again at once.
        return record.park(TerminationReason.PAUSED, now_ms, now_ms if sent.acknowledged else None)

    async def record_retry_attempt(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        *,
        attempt_number: int,
        error: str | None,
        wait_ms: int = 0,
        retries_used: int = 0,
        rate_limit_waited_ms: int = 0,
        max_attempts: int | None = None,
        suspend_above_ms: int | None = None,
        now_ms: int,
    ) -> SleepOutcome:
        require_name("checkpoint_id", checkpoint_id)
        require_duration(wait_ms)
        record = self.current(instance_id, epoch)
        known = record.attempts.get(checkpoint_id, {}).get(attempt_number)
        at_ms = now_ms + wait_ms if known is None else known.next_attempt_at_ms
        asleep = record.status is InstanceStatus.SUSPENDED and record.reason is TerminationReason.SLEEPING
        if known is not None and asleep:
            return _sleep_outcome(SleepState.SUSPENDED, at_ms, now_ms)
        record.require_running()
        if known is None:
            text = None if error is None else tail(error, ERROR_CHARACTERS)
            attempt = RetryAttempt(attempt_number, text, wait_ms, retries_used, rate_limit_waited_ms, max_attempts)
            record.attempts.setdefault(checkpoint_id, {})[attempt_number] = Attempt(attempt, at_ms)
            event = retry_attempt_event(checkpoint_id, attempt, at_ms)
            self._append(record, event.event_type, now_ms, checkpoint_id, event.subtype, event.payload)
        if at_ms > now_ms and _suspends(record, at_ms, suspend_above_ms, now_ms):
            if known is None:
                record.recovery_attempts = 0
            record.sleep_until(TerminationReason.SLEEPING, now_ms, at_ms)
            return _sleep_outcome(SleepState.SUSPENDED, at_ms, now_ms)
        record.heard_of(now_ms, always=True)
        return _sleep_outcome(SleepState.WAIT if at_ms > now_ms else SleepState.DONE, at_ms, now_ms)

    async def wait_signal(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        *,
        timeout_ms: int | None,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
        now_ms: int,
    ) -> SignalWait:
        require_name("checkpoint_id", checkpoint_id)
        if len(beside.signals) > MAX_WAITS_BESIDE:
            raise InvalidInputError(f"{len(beside.signals)} waits beside this one; at most {MAX_WAITS_BESIDE}")
        if timeout_ms is not None:
            require_duration(timeout_ms)
        record = self.current(instance_id, epoch)
        deadline = record.deadlines.get(checkpoint_id)
        if record.status is InstanceStatus.SUSPENDED and record.reason is TerminationReason.WAITING_SIGNAL:
            return _wait(SignalWaitState.SUSPENDED, deadline, now_ms)
        record.require_running()
        if deadline is not None and deadline.done:
            return _wait(SignalWaitState.TIMED_OUT, deadline, now_ms)
        if checkpoint_id in record.checkpoints:
            return SignalWait(SignalWaitState.RECEIVED, record.checkpoints[checkpoint_id].state)
        if checkpoint_id in record.custom_signals:
            payload = record.custom_signals[checkpoint_id]
            record.store_checkpoint(checkpoint_id, payload, now_ms)
            return SignalWait(SignalWaitState.RECEIVED, payload)
        if deadline is None and timeout_ms is not None:
            deadline = record.deadlines[checkpoint_id] = Deadline(now_ms + timeout_ms)
        if deadline is not None and deadline.wake_at_ms <= now_ms:
            deadline.done = True
            record.heard_of(now_ms, always=True)
            return _wait(SignalWaitState.TIMED_OUT, deadline, now_ms)
        ends = [deadline.wake_at_ms if deadline else None, beside.wake_at_ms]
        until_ms = min((at_ms for at_ms in ends if at_ms is not None), default=None)
        has_come = any(name in record.custom_signals and name not in record.checkpoints for name in beside.signals)
        if not has_come and _suspends(record, until_ms, suspend_above_ms, now_ms):
            record.sleep_until(TerminationReason.WAITING_SIGNAL, now_ms, until_ms)
            return _wait(SignalWaitState.SUSPENDED, deadline, now_ms)
        record.heard_of(now_ms, always=True)
        return _wait(SignalWaitState.WAIT, deadline, now_ms)

    def _append(
        self,
        record: Record,
        kind: EventType,
        now_ms: int,
        checkpoint_id: str | None = None,
        subtype: str | None = None,
        payload: bytes | None = None,
    ) -> None:
        number = next(self.sequence)
        record.events.append(EventRecord(number, record.instance_id, kind, now_ms, checkpoint_id, subtype, payload))


def _custom(record: Record, checkpoint_id: str | None) -> CustomSignal | None:
    if checkpoint_id is None or checkpoint_id not in record.custom_signals:
        return None
    return CustomSignal(checkpoint_id, record.custom_signals[checkpoint_id])


def _suspends(record: Record, until_ms: int | None, suspend_above_ms: int | None, now_ms: int) -> bool:
    if suspend_above_ms is None or record.waiting_signal() is not None:
        return False
    return until_ms is None or until_ms - now_ms > suspend_above_ms


def _sleep_outcome(state: SleepState, wake_at_ms: int, now_ms: int) -> SleepOutcome:
    return SleepOutcome(state, wake_at_ms, max(0, wake_at_ms - now_ms))


def _wait(state: SignalWaitState, deadline: Deadline | None, now_ms: int) -> SignalWait:
    if deadline is None:
        return SignalWait(state)
    return SignalWait(state, b"", deadline.wake_at_ms, max(0, deadline.wake_at_ms - now_ms))


def _repeats(record: Record, kind: EventType) -> bool:
    if kind is EventType.FAILED and record.reason is not TerminationReason.APPLICATION_ERROR:
        return False
    return record.status.value == kind.value


def _suspend(record: Record, event: InstanceEvent, now_ms: int) -> None:
    wake_at_ms = _requested_wake(event.payload)
    reason = TerminationReason.SUSPENDED if wake_at_ms is None else TerminationReason.SLEEPING
    if event.subtype in _REASONS_OF_EVENTS:
        reason = TerminationReason(event.subtype)
    if reason is TerminationReason.PAUSED:
        wake_at_ms = None
    elif reason is TerminationReason.SHUTDOWN_REQUESTED or (
        reason is TerminationReason.WAITING_SIGNAL and event.checkpoint_id in record.custom_signals
    ):
        wake_at_ms = now_ms
    if reason is not TerminationReason.WAITING_SIGNAL and event.checkpoint_id:
        record.store_checkpoint(event.checkpoint_id, _state_carried(event.payload), now_ms)
    record.park(reason, now_ms, wake_at_ms)


def _requested_wake(payload: bytes) -> int | None:
    try:
        wake_at_ms = json.loads(payload)["wake_at_ms"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return wake_at_ms if type(wake_at_ms) is int and 0 <= wake_at_ms <= _MAX_TIME_MS else None


def _require_storable(new: NewCheckpoint, place: str = "") -> None:
    try:
        require_name("checkpoint_id", new.checkpoint_id)
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}{error.message}") from None
    if len(new.call_key) > 64:
        raise InvalidInputError(f"{place}call_key is longer than 64 bytes")


def _store(record: Record, new: NewCheckpoint, now_ms: int) -> CheckpointResult:
    stored = record.store_checkpoint(new.checkpoint_id, new.state, now_ms)
    if stored is None:
        record.call_keys[new.checkpoint_id] = new.call_key
    elif new.call_key and record.call_keys.get(new.checkpoint_id) == new.call_key:
        stored = None
    return CheckpointResult(
        stored is not None, stored or b"", record.waiting_signal(), _custom(record, new.checkpoint_id)
    )


def _state_carried(payload: bytes) -> bytes:
    try:
        return base64.b64decode(json.loads(payload)["state"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError):
        return b""


def _error_text(payload: bytes) -> str:
    try:
        text = tail(payload.decode(), ERROR_CHARACTERS)
    except UnicodeDecodeError:
        text = ""
    return text or "the workflow failed without an error text"
