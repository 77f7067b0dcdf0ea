"""The vocabulary shared by every distribution: states, signals, events and their value types.

Times are integers: milliseconds since the Unix epoch, UTC (`*_at_ms`), or durations in milliseconds (`*_ms`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InstanceStatus(StrEnum):
    """The state of an instance. The last three are terminal and final."""

    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether no transition leaves this state."""
        return self in _TERMINAL


_TERMINAL = frozenset({InstanceStatus.COMPLETED, InstanceStatus.FAILED, InstanceStatus.CANCELLED})


class SignalType(StrEnum):
    """An instance-wide signal, in falling precedence: cancel before pause before shutdown before resume."""

    CANCEL = "cancel"
    PAUSE = "pause"
    SHUTDOWN = "shutdown"
    RESUME = "resume"


_SUSPENDING = frozenset({SignalType.PAUSE, SignalType.SHUTDOWN})


class EventType(StrEnum):
    """The kind of a row in an instance's event log."""

    STARTED = "started"
    HEARTBEAT = "heartbeat"
    COMPLETED = "completed"
    FAILED = "failed"
    SUSPENDED = "suspended"
    CUSTOM = "custom"


class TerminationReason(StrEnum):
    """Why an instance last stopped running. Every end has one."""

    COMPLETED = "completed"
    APPLICATION_ERROR = "application_error"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    HEARTBEAT_TIMEOUT = "heartbeat_timeout"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    SLEEPING = "sleeping"
    SUSPENDED = "suspended"
    ORPHANED = "orphaned"
    LAUNCH_FAILED = "launch_failed"
    SHUTDOWN_REQUESTED = "shutdown_requested"
    ENVIRONMENT_RESTART = "environment_restart"
    WAITING_SIGNAL = "waiting_signal"


@dataclass(frozen=True, slots=True)
class Signal:
    """A pending instance-wide signal; `signal_id` identifies it in its acknowledgement."""

    signal_type: SignalType
    payload: bytes = b""
    signal_id: int = 0


@dataclass(frozen=True, slots=True)
class CustomSignal:
    """A payload addressed to one checkpoint id. Reading does not consume it."""

    checkpoint_id: str
    payload: bytes = b""


MAX_CHECKPOINTS = 256
"""Most checkpoints that one call may store together."""


@dataclass(frozen=True, slots=True)
class NewCheckpoint:
    """One of several checkpoints that are stored together.

    Attributes:
        checkpoint_id: where it is stored, unless something is stored there.
        state: what is stored.
        call_key: the same in each repetition of the call, at most 64 bytes; empty when it is not told.
    """

    checkpoint_id: str
    state: bytes = b""
    call_key: bytes = b""


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """The answer to a checkpoint call.

    Attributes:
        found: a result for this checkpoint id was stored before; the state sent now was ignored.
        state: the stored state when `found`, else empty.
        pending_signal: the unacknowledged signal of highest precedence, if any.
        custom_signal: the custom signal addressed to this checkpoint id, if any.
    """

    found: bool
    state: bytes = b""
    pending_signal: Signal | None = None
    custom_signal: CustomSignal | None = None

    @property
    def existing_state(self) -> bytes | None:
        """The state stored by an earlier run, or None when this call stored its own."""
        return self.state if self.found else None

    @property
    def should_cancel(self) -> bool:
        """Whether a cancel signal is pending."""
        return self.pending_signal is not None and self.pending_signal.signal_type is SignalType.CANCEL

    @property
    def should_pause(self) -> bool:
        """Whether a pause signal is pending."""
        return self.pending_signal is not None and self.pending_signal.signal_type is SignalType.PAUSE

    @property
    def should_suspend(self) -> bool:
        """Whether a pause or a shutdown signal is pending: acknowledging either leaves the instance suspended."""
        return self.pending_signal is not None and self.pending_signal.signal_type in _SUSPENDING

    @property
    def should_exit(self) -> bool:
        """Whether the program should wind down: cancel, pause or shutdown."""
        return self.should_cancel or self.should_suspend


@dataclass(frozen=True, slots=True)
class Registration:
    """The answer to a registration.

    Attributes:
        epoch: every further call of this process must carry it.
        is_new: whether nothing is recorded for the instance, as no process has registered for it before. A store that
            does not know says false.
    """

    epoch: int
    is_new: bool = False


class SleepState(StrEnum):
    """What the caller of `sleep` has to do next."""

    DONE = "done"
    """The deadline has passed (now or in an earlier run): go on."""
    WAIT = "wait"
    """Wait `remaining_ms` in process, then call again with the same arguments."""
    SUSPENDED = "suspended"
    """The instance is now suspended until the deadline: exit the process."""


@dataclass(frozen=True, slots=True)
class SleepOutcome:
    """The answer to a sleep call; the deadline was fixed when this checkpoint id slept first."""

    state: SleepState
    wake_at_ms: int
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class RetryAttempt:
    """An attempt that is about to run because the one before has failed.

    Attributes:
        attempt_number: 2, 3, ...
        error: text of the failure before it.
        wait_ms: from the first time that this attempt is recorded until it may run, milliseconds.
        retries_used: how many attempts so far, this one included, count against the limit of retries.
        rate_limit_waited_ms: sum of the waits for rate limits so far, this one included, milliseconds.
        max_attempts: number of the last attempt, unless rate limits add some; None when it is not known.
    """

    attempt_number: int
    error: str | None = None
    wait_ms: int = 0
    retries_used: int = 0
    rate_limit_waited_ms: int = 0
    max_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class RetryState:
    """The recorded attempt that comes next, with what is left of its wait by the store's clock (0: run it now)."""

    attempt_number: int
    error: str | None
    next_attempt_at_ms: int
    remaining_ms: int
    retries_used: int = 0
    rate_limit_waited_ms: int = 0


@dataclass(frozen=True, slots=True)
class CallProgress:
    """How far a durable call has come: its recorded state, or the attempt that comes next, or neither."""

    state: bytes | None = None
    retry: RetryState | None = None


@dataclass(frozen=True, slots=True)
class WaitsBeside:
    """What else a program waits for, when it waits for a signal: one suspension serves all of it.

    Attributes:
        wake_at_ms: the soonest end of the other waits, milliseconds since the Unix epoch by the store's clock.
        signals: checkpoint ids of the other signals that are waited for.
    """

    wake_at_ms: int | None = None
    signals: tuple[str, ...] = ()


ALONE = WaitsBeside()
"""Nothing beside."""


class SignalWaitState(StrEnum):
    """What the caller of `wait_signal` has to do next."""

    RECEIVED = "received"
    """The payload is there, and recorded: go on."""
    WAIT = "wait"
    """Poll in process, for at most `remaining_ms`, then call again."""
    SUSPENDED = "suspended"
    """The instance is now suspended until the signal or the deadline: exit the process."""
    TIMED_OUT = "timed_out"
    """The deadline passed without a signal, which is recorded: a later signal changes nothing."""


@dataclass(frozen=True, slots=True)
class SignalWait:
    """The answer to a wait for a custom signal; without a deadline both times are None."""

    state: SignalWaitState
    payload: bytes = b""
    deadline_ms: int | None = None
    remaining_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SignalPoll:
    """What is waiting for an instance: its most urgent signal and the custom signal asked for.

    `status` is that of the instance; None by a core that does not tell it.
    """

    signal: Signal | None = None
    custom_signal: CustomSignal | None = None
    status: InstanceStatus | None = None


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """One event reported by an instance.

    Attributes:
        event_type: heartbeat, completed, failed, suspended or custom.
        payload: output JSON (completed), error text or JSON (failed), free bytes (custom).
        subtype: name of a custom event.
        checkpoint_id: the checkpoint that the event belongs to.
        event_key: makes a repeated report of the same event a no-op; unique within the instance.
    """

    event_type: EventType
    payload: bytes = b""
    subtype: str | None = None
    checkpoint_id: str | None = None
    event_key: str | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What an instance may learn of an instance over the instance protocol."""

    instance_id: str
    found: bool
    status: InstanceStatus | None = None
    checkpoint_id: str | None = None
    started_at_ms: int = 0
    finished_at_ms: int | None = None
    output: bytes | None = None
    error: str | None = None
