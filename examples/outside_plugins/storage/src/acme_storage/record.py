"""One instance and all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtara_core.models import CheckpointRecord, EventRecord, ExitReport, Instance
from runtara_sdk.errors import InvalidStateError, StaleEpochError
from runtara_sdk.models import InstanceStatus, RetryAttempt, Signal, SignalType, TerminationReason

CONTACT_RESOLUTION_MS = 10_000
ERROR_CHARACTERS = 64 * 1024


@dataclass
class SentSignal:
    """The last signal of a type."""

    signal_id: int
    payload: bytes
    sent_at_ms: int
    acknowledged_at_ms: int | None = None

    @property
    def acknowledged(self) -> bool:
        return self.acknowledged_at_ms is not None


@dataclass
class Deadline:
    """Of a sleep or a wait; done when it has passed once."""

    wake_at_ms: int
    done: bool = False


@dataclass(frozen=True)
class Attempt:
    """A recorded retry attempt."""

    attempt: RetryAttempt
    next_attempt_at_ms: int


@dataclass
class Record:
    """The row of an instance, its checkpoints, deadlines, retries, events and signals."""

    instance_id: str
    tenant_id: str
    image_id: str | None
    epoch: int
    created_at_ms: int
    wake_at_ms: int | None = None
    input: bytes | None = None
    launch_options: bytes = b"{}"
    status: InstanceStatus = InstanceStatus.PENDING
    reason: TerminationReason | None = None
    checkpoint_id: str | None = None
    checkpoint_count: int = 0
    recovery_attempts: int = 0
    failed_launches: int = 0
    attempt: int = 1
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    last_contact_at_ms: int | None = None
    lease_owner: str | None = None
    lease_until_ms: int | None = None
    output: bytes | None = None
    error: str | None = None
    stderr: str | None = None
    exit_code: int | None = None
    memory_peak_bytes: int | None = None
    cpu_usage_usec: int | None = None
    counted_launches: set[int] = field(default_factory=set)
    checkpoints: dict[str, CheckpointRecord] = field(default_factory=dict)
    call_keys: dict[str, bytes] = field(default_factory=dict)
    deadlines: dict[str, Deadline] = field(default_factory=dict)
    attempts: dict[str, dict[int, Attempt]] = field(default_factory=dict)
    events: list[EventRecord] = field(default_factory=list)
    event_keys: set[str] = field(default_factory=set)
    registrations: dict[str, int] = field(default_factory=dict)
    signals: dict[SignalType, SentSignal] = field(default_factory=dict)
    custom_signals: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        return self.status is InstanceStatus.RUNNING

    @property
    def due_at_ms(self) -> int | None:
        """When an environment may launch it."""
        if self.image_id is None:
            return None
        return self.lease_until_ms if self.is_running else self.wake_at_ms

    def require_current(self, epoch: int | None) -> None:
        if (epoch is None and self.image_id is not None) or (epoch is not None and epoch != self.epoch):
            raise StaleEpochError(f"instance {self.instance_id} is at epoch {self.epoch}")

    def require_running(self) -> None:
        if not self.is_running:
            raise InvalidStateError(f"instance {self.instance_id} is {self.status}")

    def require_unfinished(self) -> None:
        if self.status.is_terminal:
            raise InvalidStateError(f"instance {self.instance_id} is {self.status}")

    def count_usage(self, epoch: int, report: ExitReport) -> None:
        """Add what a launch has used, once."""
        peak, cpu = report.memory_peak_bytes, report.cpu_usage_usec
        if epoch > self.epoch or epoch in self.counted_launches or (peak is None and cpu is None):
            return
        self.counted_launches.add(epoch)
        if peak is not None:
            self.memory_peak_bytes = max(peak, self.memory_peak_bytes or 0)
        if cpu is not None:
            self.cpu_usage_usec = cpu + (self.cpu_usage_usec or 0)

    def heard_of(self, now_ms: int, *, always: bool = False) -> None:
        last = self.last_contact_at_ms
        if always or last is None or abs(now_ms - last) >= CONTACT_RESOLUTION_MS:
            self.last_contact_at_ms = now_ms

    def become(
        self,
        status: InstanceStatus,
        reason: TerminationReason,
        now_ms: int,
        *,
        wake_at_ms: int | None = None,
        output: bytes | None = None,
        error: str | None = None,
    ) -> InstanceStatus:
        """Leave a state for one other than running."""
        self.status, self.reason, self.wake_at_ms = status, reason, wake_at_ms
        self.finished_at_ms = now_ms if status.is_terminal else None
        self.output, self.error = output, error
        self.lease_owner = self.lease_until_ms = None
        return status

    def park(
        self,
        reason: TerminationReason,
        now_ms: int,
        wake_at_ms: int | None,
        *,
        status: InstanceStatus = InstanceStatus.SUSPENDED,
        error: str | None = None,
    ) -> InstanceStatus:
        """Leave running for a state without a process, where a waiting signal takes effect at once."""
        waiting = self.waiting_signal()
        if waiting is not None and waiting.signal_type is SignalType.CANCEL:
            status, reason, wake_at_ms = InstanceStatus.CANCELLED, TerminationReason.CANCELLED, None
        elif waiting is not None and waiting.signal_type is SignalType.PAUSE:
            status, reason, wake_at_ms = InstanceStatus.SUSPENDED, TerminationReason.PAUSED, None
        for signal_type in self.signals:
            self.close_signal(signal_type, now_ms)
        return self.become(status, reason, now_ms, wake_at_ms=wake_at_ms, error=error)

    def sleep_until(self, reason: TerminationReason, now_ms: int, wake_at_ms: int | None) -> None:
        self.become(InstanceStatus.SUSPENDED, reason, now_ms, wake_at_ms=wake_at_ms)
        self.last_contact_at_ms = now_ms

    def waiting_signal(self) -> Signal | None:
        """The most urgent signal that is not acknowledged."""
        for signal_type in (SignalType.CANCEL, SignalType.PAUSE, SignalType.SHUTDOWN):
            sent = self.signals.get(signal_type)
            if sent is not None and not sent.acknowledged:
                return Signal(signal_type, sent.payload, sent.signal_id)
        return None

    def waiting_for(self, *signal_types: SignalType) -> bool:
        """Whether the most urgent signal that is not acknowledged is one of these."""
        waiting = self.waiting_signal()
        return waiting is not None and waiting.signal_type in signal_types

    def close_signal(self, signal_type: SignalType, now_ms: int) -> None:
        """Acknowledge a signal if it waits."""
        sent = self.signals.get(signal_type)
        if sent is not None and not sent.acknowledged:
            sent.acknowledged_at_ms = now_ms

    def obeyed_withdrawn_pause(self) -> bool:
        """Whether the process may have ended for a pause of its launch that was withdrawn."""
        pause = self.signals.get(SignalType.PAUSE)
        closed_at_ms = None if pause is None else pause.acknowledged_at_ms
        return closed_at_ms is not None and closed_at_ms >= (self.started_at_ms or 0)

    def store_checkpoint(self, checkpoint_id: str, state: bytes, now_ms: int) -> bytes | None:
        """Insert if absent; the state that was there before."""
        known = self.checkpoints.get(checkpoint_id)
        if known is not None:
            self.heard_of(now_ms)
            return known.state
        self.checkpoints[checkpoint_id] = CheckpointRecord(checkpoint_id, self.instance_id, now_ms, state)
        self.checkpoint_id = checkpoint_id
        self.checkpoint_count += 1
        self.recovery_attempts = 0
        self.last_contact_at_ms = now_ms
        return None

    def row(self, *, whole: bool) -> Instance:
        """As the contract shows it."""
        return Instance(
            instance_id=self.instance_id,
            tenant_id=self.tenant_id,
            status=self.status,
            epoch=self.epoch,
            created_at_ms=self.created_at_ms,
            image_id=self.image_id,
            launch_options=self.launch_options if whole else b"{}",
            checkpoint_id=self.checkpoint_id,
            attempt=self.attempt,
            started_at_ms=self.started_at_ms,
            finished_at_ms=self.finished_at_ms,
            wake_at_ms=self.wake_at_ms,
            last_contact_at_ms=self.last_contact_at_ms,
            input=self.input if whole else None,
            output=self.output if whole else None,
            error=self.error,
            stderr=self.stderr if whole else None,
            termination_reason=self.reason,
            exit_code=self.exit_code,
            memory_peak_bytes=self.memory_peak_bytes,
            cpu_usage_usec=self.cpu_usage_usec,
            lease_owner=self.lease_owner,
            lease_until_ms=self.lease_until_ms,
            recovery_attempts=self.recovery_attempts,
            checkpoint_count=self.checkpoint_count,
        )
