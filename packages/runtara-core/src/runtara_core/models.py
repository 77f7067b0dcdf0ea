"""What core keeps of an instance, as values. Protobuf stops before these, SQL starts after them."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtara_sdk.models import InstanceStatus, TerminationReason

MAX_INLINE_INPUT_BYTES = 12 * 1024 * 1024
"""Longest input that comes with its instance or claim: with the longest output it fits an answer."""

MAX_STORED_INPUT_BYTES = 512 * 1024 * 1024
"""Longest input that core accepts; an environment has a bound of its own below it."""

MAX_INPUT_PART_BYTES = 4 * 1024 * 1024
"""Most bytes of an input that are read at once."""


@dataclass(frozen=True, slots=True)
class InputPart:
    """A part of an input, and how many bytes all of it has."""

    data: bytes
    total_bytes: int


@dataclass(frozen=True, slots=True)
class NewInstance:
    """A request to create an instance that an environment launches.

    Attributes:
        instance_id: chosen by the caller; repeating the same start is harmless.
        tenant_id: owner.
        image_id: what to launch; opaque to core.
        input: the run's input envelope, JSON.
        launch_options: whatever the launcher needs to launch it again (JSON); opaque to core.
    """

    instance_id: str
    tenant_id: str
    image_id: str
    input: bytes
    launch_options: bytes = b"{}"


@dataclass(frozen=True, slots=True)
class CreatedInstance:
    """The answer to a creation; `deduplicated` says that the same start had been accepted before."""

    instance_id: str
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class RetriedInstance:
    """The answer to a retry; `deduplicated` says that the same retry, by its key, had been accepted before."""

    instance_id: str
    deduplicated: bool


@dataclass(frozen=True, slots=True)
class InstanceFork:
    """A request to create an instance that begins with what another one has recorded.

    Attributes:
        instance_id: of the new instance; repeating the same fork is harmless.
        origin_id: whose input and checkpoints it gets, and whose tenant it belongs to.
        from_step: it gets what was recorded before the first record of this step: a step of the scenario, a function
            (`module:name` or `name`) or a checkpoint id. None: all that is recorded.
        image_id: what to launch; None for the image of the origin.
        launch_options: as of `NewInstance`; None for those of the origin.
        due: whether it is launched at once; else once it is resumed.
        dry_run: only say what it would get.
    """

    instance_id: str
    origin_id: str
    from_step: str | None = None
    image_id: str | None = None
    launch_options: bytes | None = None
    due: bool = True
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ForkedInstance:
    """The answer to a fork.

    Attributes:
        instance_id: of the new instance.
        deduplicated: the same fork had been accepted before; nothing was created.
        copied: checkpoints that it got.
        left_out: further checkpoints that the origin had.
        last_copied: id of the last one that it got, as the origin has it; None when it got none.
    """

    instance_id: str
    deduplicated: bool
    copied: int
    left_out: int
    last_copied: str | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """The row of an instance.

    Attributes:
        input_bytes: size of an input that is left out, because it is longer than `MAX_INLINE_INPUT_BYTES`; None when
            `input` is all of it.
    """

    instance_id: str
    tenant_id: str
    status: InstanceStatus
    epoch: int
    created_at_ms: int
    image_id: str | None = None
    launch_options: bytes = b"{}"
    checkpoint_id: str | None = None
    attempt: int = 1
    max_attempts: int = 3
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    wake_at_ms: int | None = None
    last_contact_at_ms: int | None = None
    input: bytes | None = None
    output: bytes | None = None
    error: str | None = None
    stderr: str | None = None
    termination_reason: TerminationReason | None = None
    exit_code: int | None = None
    memory_peak_bytes: int | None = None
    cpu_usage_usec: int | None = None
    lease_owner: str | None = None
    lease_until_ms: int | None = None
    recovery_attempts: int = 0
    checkpoint_count: int = 0
    input_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """The place of an instance in a list: the time that the list is ordered by (None: not finished), then the id."""

    time_ms: int | None
    instance_id: str

    @classmethod
    def of(cls, instance: Instance, order_by: str) -> InstanceKey:
        """The place of an instance in the list that is ordered so."""
        by_end = order_by.startswith("finished_at")
        return cls(instance.finished_at_ms if by_end else instance.created_at_ms, instance.instance_id)


@dataclass(frozen=True, slots=True)
class InstanceFilter:
    """Which instances to list; None and () mean any. `*_after_ms` is inclusive, `*_before_ms` exclusive.

    A page begins behind `after`, which need not exist any more. With `without_total` the others are not counted, and
    `total_count` is 0.
    """

    tenant_id: str | None = None
    statuses: tuple[InstanceStatus, ...] = ()
    termination_reasons: tuple[TerminationReason, ...] = ()
    image_ids: tuple[str, ...] | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    finished_after_ms: int | None = None
    finished_before_ms: int | None = None
    order_by: str = "created_at_desc"
    limit: int = 100
    offset: int = 0
    after: InstanceKey | None = None
    without_total: bool = False


@dataclass(frozen=True, slots=True)
class InstancePage:
    """A page of instances (without input, output, stderr) and the number of all that match."""

    instances: tuple[Instance, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class LaunchClaim:
    """The right to launch one instance, once: it carries the new epoch and everything needed to launch.

    `token` proves the launch to core; it is for the launched program alone. A storage leaves it empty. `input_bytes` is
    the size of an input that is left out, because it is longer than `MAX_INLINE_INPUT_BYTES`; None when `input` is it.
    """

    instance_id: str
    tenant_id: str
    epoch: int
    image_id: str
    input: bytes
    launch_options: bytes
    checkpoint_id: str | None
    lease_until_ms: int
    failed_launches: int = 0
    token: str = field(default="", repr=False)
    input_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseKey:
    """One launch: an instance and the epoch of the launch."""

    instance_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class PendingCancel:
    """A cancel that a running launch has not obeyed yet.

    Attributes:
        instance_id: the instance.
        epoch: of the launch.
        age_ms: how long ago it was first sent, by core's clock.
    """

    instance_id: str
    epoch: int
    age_ms: int

    @property
    def key(self) -> LeaseKey:
        """The launch."""
        return LeaseKey(self.instance_id, self.epoch)


@dataclass(frozen=True, slots=True)
class LastContact:
    """When a running launch was heard of last.

    Attributes:
        instance_id: the instance.
        epoch: of the launch.
        at_ms: the last sign of life by core's clock, the claim of the launch to begin with. A program that gives signs
            all the time has one of the last 40 s.
    """

    instance_id: str
    epoch: int
    at_ms: int | None

    @property
    def key(self) -> LeaseKey:
        """The launch."""
        return LeaseKey(self.instance_id, self.epoch)


@dataclass(frozen=True, slots=True)
class WatchedInstance:
    """What a process that waits for signals knows of its instance: news is whatever differs from it.

    Attributes:
        epoch: of the process.
        signal_id: of the most urgent unacknowledged signal; 0 when there is none.
        checkpoint_id: a custom signal to it is waited for too.
    """

    instance_id: str
    epoch: int
    signal_id: int = 0
    checkpoint_id: str | None = None


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How the process of a launch ended.

    Attributes:
        reason: CRASHED for any exit nobody asked for (core decides what it means from the state the instance
            reported itself), OUT_OF_MEMORY, TIMEOUT, CANCELLED after a stop, HEARTBEAT_TIMEOUT, ENVIRONMENT_RESTART.
        exit_code: as by `wait`; negative is the number of the signal that killed it; None when unknown.
        stderr_tail: the last lines, at most 8 KiB.
    """

    reason: TerminationReason
    exit_code: int | None = None
    stderr_tail: str = ""
    memory_peak_bytes: int | None = None
    cpu_usage_usec: int | None = None


@dataclass(frozen=True, slots=True)
class ExitDecision:
    """What core made of an exit: the status now and, when it is to be launched again, when.

    `stale` means that a newer launch owns the instance and nothing was changed.
    """

    status: InstanceStatus
    wake_at_ms: int | None
    stale: bool = False


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """A checkpoint without its state."""

    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    data_size_bytes: int


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint with its state."""

    checkpoint_id: str
    instance_id: str
    created_at_ms: int
    state: bytes


@dataclass(frozen=True, slots=True)
class CheckpointPage:
    """A page of checkpoints, newest first, and the number of all."""

    checkpoints: tuple[CheckpointSummary, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class CheckpointFilter:
    """Which checkpoints of one instance to list, newest first; None means any.

    Attributes:
        checkpoint_id: only this one.
        created_after_ms: only from then on; `created_before_ms` is exclusive.
        before_checkpoint_id: only what is older than this one; nothing when the instance has none with this id.
        without_total: spare counting; `total_count` is 0 then.
    """

    checkpoint_id: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    before_checkpoint_id: str | None = None
    limit: int = 100
    offset: int = 0
    without_total: bool = False


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A row of the event log."""

    event_id: int
    instance_id: str
    event_type: str
    created_at_ms: int
    checkpoint_id: str | None = None
    subtype: str | None = None
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events, newest first unless asked otherwise, and the number of all that match."""

    events: tuple[EventRecord, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of one instance to list; None means any.

    Attributes:
        payload_contains: only with this text in the first `runtara_core.event_texts.MAX_SEARCHED_BYTES` of the payload
            as UTF-8, whatever the case of its letters.
        scope_id: only of this scope (`runtara_core.steps`), as the payload says.
        parent_scope_id: only of scopes within this one.
        root_scopes_only: only what comes from the root graph, or says nothing of a scope.
        after_event_id: only newer than this one.
        before_event_id: only older than this one.
        without_total: spare counting; `total_count` is 0 then.
    """

    event_type: str | None = None
    subtype: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    payload_contains: str | None = None
    scope_id: str | None = None
    parent_scope_id: str | None = None
    root_scopes_only: bool = False
    ascending: bool = False
    after_event_id: int | None = None
    before_event_id: int | None = None
    limit: int = 100
    offset: int = 0
    without_total: bool = False


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Health of a core daemon."""

    healthy: bool
    version: str
    uptime_ms: int
    active_instances: int


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    """How often and how soon a crashed instance is launched again.

    Attributes:
        max_recoveries: consecutive relaunches without a new checkpoint before the instance fails.
        backoff_base_ms: wait before the second relaunch in a row (the first is immediate); doubles each time.
        backoff_cap_ms: upper bound of that wait.
    """

    max_recoveries: int = 5
    backoff_base_ms: int = 1_000
    backoff_cap_ms: int = 60_000

    def backoff_ms(self, consecutive: int) -> int:
        """Wait before relaunch number `consecutive` (1, 2, ...) of a row without progress."""
        if consecutive <= 1:
            return 0
        return int(min(self.backoff_cap_ms, self.backoff_base_ms * 2 ** min(consecutive - 2, 30)))


@dataclass(frozen=True, slots=True)
class CoreLimits:
    """Bounds enforced by the storage in the transaction that they concern.

    Attributes:
        max_concurrent_instances: how many instances run at a time.
        recovery: how often and when a crashed instance is launched again.
        max_concurrent_instances_of_tenant: how many instances of one tenant run at a time; 0 is no bound.
    """

    max_concurrent_instances: int = 32
    recovery: RecoveryPolicy = field(default_factory=RecoveryPolicy)
    max_concurrent_instances_of_tenant: int = 0
