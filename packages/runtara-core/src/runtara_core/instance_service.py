"""The verbs of an instance: validation in front of the storage, and the hint that work became due behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    EventType,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    SignalPoll,
    SignalType,
    SignalWait,
    SignalWaitState,
    SleepOutcome,
    SleepState,
    StatusReport,
    WaitsBeside,
)
from runtara_sdk.redaction import redact_bytes, redact_text

from runtara_core.due import DueBell
from runtara_core.models import CoreLimits
from runtara_core.signal_watch import SignalWatch
from runtara_core.storage import Storage

MAX_STATE_BYTES = 64 * 1024 * 1024 - 64 * 1024
"""Largest state or payload of one call: the frame limit less room for the message around it."""

MAX_OUTPUT_BYTES = 48 * 1024 * 1024
"""Largest output: whoever asks for the status of an instance gets it in one answer with the input."""

MAX_IDENTIFIER_BYTES = 1024
"""Longest instance, tenant or checkpoint id."""

_LONGEST_WAIT_MS = 60_000  # then the deadline is looked at again, as clocks jump


class InstanceService:
    """Serves the instances, whichever way their calls come in."""

    def __init__(
        self, storage: Storage, clock: Clock, limits: CoreLimits, due: DueBell, watch: SignalWatch | None = None
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._limits = limits
        self._due = due
        self._watch = watch or SignalWatch(storage, clock)

    async def close(self) -> None:
        """Answer the polls that are held, and hold no more."""
        await self._watch.close()

    async def register(
        self,
        instance_id: str,
        tenant_id: str,
        *,
        epoch: int | None,
        checkpoint_id: str | None,
        registration_key: str | None = None,
    ) -> Registration:
        """Make the caller the process that advances the instance."""
        _require_identifier("instance_id", instance_id)
        _require_identifier("tenant_id", tenant_id)
        registration = await self._storage.register_instance(
            instance_id,
            tenant_id,
            epoch=epoch,
            checkpoint_id=checkpoint_id or None,
            registration_key=registration_key or None,
            limits=self._limits,
            now_ms=self._clock.now_ms(),
        )
        self._watch.ring(instance_id)
        return registration

    async def checkpoint(
        self, instance_id: str, epoch: int | None, checkpoint_id: str, state: bytes, call_key: bytes = b""
    ) -> CheckpointResult:
        """Store a state under an id unless one is stored; the stored one wins, unless the same call stored it."""
        _require_identifier("instance_id", instance_id)
        _require_identifier("checkpoint_id", checkpoint_id)
        require_size("state", state)
        return await self._storage.checkpoint(
            instance_id, epoch, checkpoint_id, state, now_ms=self._clock.now_ms(), call_key=call_key
        )

    async def checkpoints(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint]
    ) -> list[CheckpointResult]:
        """Several checkpoints in one transaction, as if they came one after the other; all are refused with one."""
        _require_identifier("instance_id", instance_id)
        for number, each in enumerate(new, 1):
            try:
                _require_identifier("checkpoint_id", each.checkpoint_id)
                require_size("state", each.state)
            except InvalidInputError as error:
                raise InvalidInputError(f"checkpoint {number} of {len(new)}: {error.message}") from None
        total = sum(len(each.state) for each in new)
        if total > MAX_STATE_BYTES:
            raise InvalidInputError(
                f"the states of {len(new)} checkpoints have {total} bytes, more than the {MAX_STATE_BYTES} that one "
                "call can carry; store fewer of them at once"
            )
        return await self._storage.checkpoints(instance_id, epoch, new, now_ms=self._clock.now_ms())

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> bytes | None:
        """The state stored under an id, or None."""
        _require_identifier("instance_id", instance_id)
        return await self._storage.get_checkpoint(instance_id, checkpoint_id)

    async def get_progress(self, instance_id: str, checkpoint_id: str, epoch: int | None = None) -> CallProgress:
        """The state stored under an id or, without one, the attempt that comes next."""
        _require_identifier("instance_id", instance_id)
        return await self._storage.get_progress(instance_id, checkpoint_id, now_ms=self._clock.now_ms(), epoch=epoch)

    async def sleep(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        state: bytes,
        *,
        duration_ms: int,
        suspend_above_ms: int | None,
    ) -> SleepOutcome:
        """Sleep durably; says whether to go on, to wait in process or to exit."""
        _require_identifier("instance_id", instance_id)
        _require_identifier("checkpoint_id", checkpoint_id)
        require_size("state", state)
        outcome = await self._storage.sleep(
            instance_id,
            epoch,
            checkpoint_id,
            state,
            duration_ms=duration_ms,
            suspend_above_ms=suspend_above_ms,
            now_ms=self._clock.now_ms(),
        )
        if outcome.state is SleepState.SUSPENDED:
            self._due.ring()
        return outcome

    async def sleep_in_server(
        self, instance_id: str, epoch: int | None, checkpoint_id: str, state: bytes, *, duration_ms: int
    ) -> None:
        """Sleep for a client of the original protocol, which expects the answer after the deadline."""
        while True:
            outcome = await self.sleep(
                instance_id, epoch, checkpoint_id, state, duration_ms=duration_ms, suspend_above_ms=None
            )
            if outcome.state is SleepState.DONE:
                return
            await self._clock.sleep(min(outcome.remaining_ms, _LONGEST_WAIT_MS) / 1000)

    async def report_event(self, instance_id: str, epoch: int | None, event: InstanceEvent) -> InstanceStatus:
        """Record an event and make its state change."""
        _require_identifier("instance_id", instance_id)
        if event.event_type is EventType.COMPLETED:
            require_size("output", event.payload, MAX_OUTPUT_BYTES)
        require_size("payload", event.payload)
        event = replace(event, payload=redact_bytes(event.payload))
        status = await self._storage.report_event(instance_id, epoch, event, now_ms=self._clock.now_ms())
        if event.event_type in (EventType.COMPLETED, EventType.FAILED, EventType.SUSPENDED):
            self._due.ring()
        return status

    async def poll_signals(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str | None,
        *,
        wait_ms: int = 0,
        known_signal_id: int = 0,
    ) -> SignalPoll:
        """What is waiting for the instance; consumes nothing.

        With `wait_ms`, for a caller that knows its epoch, the answer is held back until it is news; see `SignalWatch`.
        """
        _require_identifier("instance_id", instance_id)
        if wait_ms > 0 and epoch is not None:
            return await self._watch.poll(
                instance_id, epoch, checkpoint_id or None, wait_ms=wait_ms, known_signal_id=known_signal_id
            )
        return await self._storage.poll_signals(instance_id, epoch, checkpoint_id or None, now_ms=self._clock.now_ms())

    async def acknowledge_signal(
        self, instance_id: str, epoch: int | None, signal_type: SignalType, signal_id: int | None
    ) -> InstanceStatus:
        """Mark a signal obeyed and make its state change."""
        _require_identifier("instance_id", instance_id)
        status = await self._storage.acknowledge_signal(
            instance_id, epoch, signal_type, signal_id, now_ms=self._clock.now_ms()
        )
        self._due.ring()
        return status

    async def record_retry_attempt(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        attempt: RetryAttempt,
        *,
        suspend_above_ms: int | None,
    ) -> SleepOutcome:
        """Record that an attempt is about to run; says whether to run it, to wait in process or to exit."""
        _require_identifier("instance_id", instance_id)
        _require_identifier("checkpoint_id", checkpoint_id)
        outcome = await self._storage.record_retry_attempt(
            instance_id,
            epoch,
            checkpoint_id,
            attempt_number=attempt.attempt_number,
            error=None if attempt.error is None else redact_text(attempt.error),
            wait_ms=attempt.wait_ms,
            retries_used=attempt.retries_used,
            rate_limit_waited_ms=attempt.rate_limit_waited_ms,
            max_attempts=attempt.max_attempts,
            suspend_above_ms=suspend_above_ms,
            now_ms=self._clock.now_ms(),
        )
        if outcome.state is SleepState.SUSPENDED:
            self._due.ring()
        return outcome

    async def wait_signal(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        *,
        timeout_ms: int | None,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        """Wait durably for a custom signal; says whether it came, or to poll in process, to exit or to give up."""
        _require_identifier("instance_id", instance_id)
        _require_identifier("checkpoint_id", checkpoint_id)
        wait = await self._storage.wait_signal(
            instance_id,
            epoch,
            checkpoint_id,
            timeout_ms=timeout_ms,
            suspend_above_ms=suspend_above_ms,
            beside=beside,
            now_ms=self._clock.now_ms(),
        )
        if wait.state is SignalWaitState.SUSPENDED:
            self._due.ring()
        return wait

    async def is_managed(self, instance_id: str) -> bool:
        """Whether an environment launches the instance."""
        instance = await self._storage.get_instance(instance_id)
        return instance is not None and instance.image_id is not None

    async def get_instance_status(self, instance_id: str, tenant_id: str | None = None) -> StatusReport:
        """What an instance may learn of an instance; with `tenant_id`, only of one of this tenant."""
        _require_identifier("instance_id", instance_id)
        instance = await self._storage.get_instance(instance_id, tenant_id=tenant_id)
        if instance is None:
            return StatusReport(instance_id=instance_id, found=False)
        return StatusReport(
            instance_id=instance_id,
            found=True,
            status=instance.status,
            checkpoint_id=instance.checkpoint_id,
            started_at_ms=instance.started_at_ms or 0,
            finished_at_ms=instance.finished_at_ms,
            output=instance.output,
            error=instance.error,
        )


def _require_identifier(name: str, value: str) -> None:
    if not value:
        raise InvalidInputError(f"{name} is empty")
    if len(value.encode("utf-8", "surrogatepass")) > MAX_IDENTIFIER_BYTES:
        raise InvalidInputError(f"{name} is longer than {MAX_IDENTIFIER_BYTES} bytes: {value[:40]}…")
    if "\0" in value:
        raise InvalidInputError(f"{name} contains a NUL character")


def require_size(name: str, value: bytes, bound: int = MAX_STATE_BYTES) -> None:
    """Refuse data that a call, or the answer to a later one, could not carry."""
    if len(value) > bound:
        raise InvalidInputError(
            f"{name} has {len(value)} bytes, more than the {bound} that one call can carry; "
            "store large data outside and pass a reference to it"
        )
