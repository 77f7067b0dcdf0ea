"""The contract of a storage: one method a verb, one transaction a method.

A storage decides every question that a race could decide otherwise: it compares epochs and states inside the
transaction that changes them. Methods take `now_ms` from the service's clock; nothing in here reads a clock.

Errors that every method with `instance_id` and `epoch` may raise: `InstanceNotFoundError`, `StaleEpochError` (the epoch
is not the current one), `StorageError` (the database failed; the message names the operation).
`epoch` None stands for a caller that never learned one (a client of the original protocol): only allowed while the
instance is not managed by an environment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    SignalPoll,
    SignalType,
    SignalWait,
    SleepOutcome,
    WaitsBeside,
)

from runtara_core import listed_steps
from runtara_core.models import (
    CheckpointFilter,
    CheckpointPage,
    CheckpointRecord,
    CoreLimits,
    CreatedInstance,
    EventFilter,
    EventPage,
    ExitDecision,
    ExitReport,
    ForkedInstance,
    InputPart,
    Instance,
    InstanceFilter,
    InstanceFork,
    InstancePage,
    LastContact,
    LaunchClaim,
    LeaseKey,
    NewInstance,
    PendingCancel,
    RetriedInstance,
    WatchedInstance,
)
from runtara_core.security.credentials import CredentialStore
from runtara_core.steps import ScopeInfo, StepFilter, StepPage
from runtara_core.tenant_metrics import MetricsBucket, MetricsRange, metrics_from_lists

MAX_WATCHED = 10_000
"""Most instances of one `find_news` or `record_contacts`."""


MAX_FOUND_BYTES = 64 * 1024 * 1024 - 64 * 1024
"""Most bytes of state that one call of `checkpoints` answers with: as many as one checkpoint may have."""


class Storage(ABC):
    """Durable state of instances. Contributed through the entry-point group `runtara.storage`."""

    @property
    def is_durable(self) -> bool:
        """Whether state outlives `close`: what was stored is there when the storage is opened again."""
        return True

    @abstractmethod
    async def open(self) -> None:
        """Connect and bring the schema up to date. Raises `StorageError` naming the database (no credentials)."""

    @abstractmethod
    async def close(self) -> None:
        """Release all connections."""

    @property
    @abstractmethod
    def credentials(self) -> CredentialStore:
        """Token secrets and API keys, kept beside the instances; usable while the storage is open."""

    @abstractmethod
    async def check_health(self) -> None:
        """Return when the database answers, else raise `StorageError`."""

    # The instance's own verbs

    @abstractmethod
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
        """Make the caller the process that advances the instance, and the instance running.

        With `epoch` (a launch by an environment): it must be the current one and the instance running or pending.
        Without: creates the instance when unknown; takes over a pending, running or suspended instance that no
        environment manages, under a new epoch. `InvalidStateError` when it is terminal or managed, `InvalidInputError`
        when the tenant differs or `checkpoint_id` is unknown, `ConcurrencyLimitError` at the limit.
        Sets started_at, clears wake time and finished_at; appends event `started`. Repeated with the `registration_key`
        of the registration that the running process made, it changes nothing and gives the same epoch; with that of an
        older one, or once the instance has stopped running, it is `StaleEpochError`: a call that was held up on its way
        must not take the instance from who came after it.
        """

    @abstractmethod
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
        """Insert if absent; the stored state wins. `InvalidStateError` unless running.

        A call that stored the checkpoint and is made again, as its `call_key` tells, is answered as the first time:
        not found. Without a key every repetition finds what it stored.

        Attaches the most urgent unacknowledged signal and the custom signal addressed to `checkpoint_id`.
        """

    @abstractmethod
    async def checkpoints(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint], *, now_ms: int
    ) -> list[CheckpointResult]:
        """The same for 1 to `MAX_CHECKPOINTS` checkpoints, one after the other, in one transaction.

        Each is answered as `checkpoint` would answer it: one that is there is found, and the others are stored; of two
        with one id the second finds what the first has stored. When one of them is refused, none is stored, and the
        `InvalidInputError` names its place. `AnswerTooLargeError` when what was found has more than `MAX_FOUND_BYTES`;
        the caller asks for each alone then, with its call key, as some may be stored. So may they be when the instance
        ends, or is launched again, during the call: that refuses it, as it would have refused those that came after.
        """

    @abstractmethod
    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> bytes | None:
        """The stored state or None; in any status."""

    @abstractmethod
    async def get_progress(
        self, instance_id: str, checkpoint_id: str, *, now_ms: int, epoch: int | None = None
    ) -> CallProgress:
        """The stored state or, without one, the last retry attempt that was recorded; in any status.

        With `epoch`, `StaleEpochError` when the instance is at another: its id may belong to another tenant by now.
        """

    @abstractmethod
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
        """Sleep under `checkpoint_id` until a deadline fixed by the first call.

        The first call stores the checkpoint and the deadline. Past the deadline the sleep is marked done, for ever.
        With more than `suspend_above_ms` left, and no signal pending, the instance becomes suspended (reason sleeping)
        and is due at the deadline; None never suspends. All in one transaction.
        """

    @abstractmethod
    async def report_event(
        self, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
    ) -> InstanceStatus:
        """Append the event and make its state change in one transaction; returns the status after it.

        completed/failed/suspended require running; a repeat of the same terminal event by the same epoch is a no-op,
        any other is `InvalidStateError`. A repeated `event_key` appends nothing. A suspended event with a
        checkpoint id stores that checkpoint, unless it names the signal that the instance is parked for; `state` of its
        payload, a JSON object, is the state in base64, else it is empty. What was stored before stays.
        """

    @abstractmethod
    async def poll_signals(
        self, instance_id: str, epoch: int | None, checkpoint_id: str | None, *, now_ms: int
    ) -> SignalPoll:
        """Read the status, the most urgent signal and one custom signal; consumes neither. Stamps the last contact."""

    @abstractmethod
    async def find_news(self, watched: Sequence[WatchedInstance]) -> list[WatchedInstance]:
        """Those of `watched` that are no longer as said; at most `MAX_WATCHED` at a time. Writes nothing.

        They were removed, or are at another epoch, or terminal, or have another most urgent signal, or the custom
        signal is there.
        """

    @abstractmethod
    async def record_contacts(self, keys: Sequence[LeaseKey], *, now_ms: int) -> None:
        """Stamp the last contact of the running instances of `keys` whose epoch is current; misses ones in use.

        At most `MAX_WATCHED` at a time.
        """

    @abstractmethod
    async def acknowledge_signal(
        self, instance_id: str, epoch: int | None, signal_type: SignalType, signal_id: int | None, *, now_ms: int
    ) -> InstanceStatus:
        """Mark a signal obeyed. Repeating is a no-op.

        cancel -> cancelled; pause -> suspended (reason paused); shutdown -> suspended (reason shutdown_requested), due
        now. A more urgent one that waits decides instead; none waits afterwards.
        """

    @abstractmethod
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
        """Record that an attempt runs after `wait_ms`, in a table of its own; the first record of its number stays.

        That record appends `runtara_core.retry_events.retry_attempt_event`, which alone tells `max_attempts`.

        DONE when it may run. With more than `suspend_above_ms` left, and no signal pending, the instance becomes
        suspended (reason sleeping) and is due when the attempt is; None never suspends. `InvalidStateError` unless
        running. All in one transaction.
        """

    @abstractmethod
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
        """Wait for the custom signal addressed to `checkpoint_id`, in one transaction.

        A signal that is there becomes the checkpoint, for ever. Else, past the deadline that the first call with a
        timeout fixed, the wait is marked timed out, for ever. Else, with more than `suspend_above_ms` left or without a
        deadline, and no other signal pending, the instance becomes suspended (reason waiting_signal), due at the
        deadline or when a custom signal comes; None never suspends. `InvalidStateError` unless running.

        `beside` are the other waits of the program: it is due at their end, if that comes sooner, and is not suspended
        while a signal that one of them waits for is there and was not taken.
        """

    # Management verbs

    @abstractmethod
    async def create_instance(self, new: NewInstance, *, now_ms: int) -> CreatedInstance:
        """Insert a pending instance, due for launch now. Same id, tenant and image again: deduplicated.

        `InstanceExistsError` (which tells nothing of the other) when the id is taken otherwise.
        """

    @abstractmethod
    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        """The whole row; None when unknown or of another tenant.

        An input of more than `MAX_INLINE_INPUT_BYTES` may be left out, as in claims; `input_bytes` tells its size.
        """

    async def read_input(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        """A part of the input of an instance; None when the instance or its input is unknown.

        A storage that leaves long inputs out of instances and claims gives them here; another one inherits this.
        """
        instance = await self.get_instance(instance_id)
        if instance is None or instance.input is None:
            return None
        return InputPart(instance.input[offset : offset + limit_bytes], len(instance.input))

    @abstractmethod
    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        """A page of instances without their input, output and stderr."""

    @abstractmethod
    async def count_running(self) -> int:
        """Number of running instances."""

    @abstractmethod
    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
    ) -> InstanceStatus:
        """Leave a signal for a running instance; on a pending or suspended one it takes effect at once.

        cancel: -> cancelled, wake cleared. pause: -> suspended (reason paused), wake cleared. resume: suspended -> due
        now; on a running one it withdraws an unacknowledged pause. shutdown: nothing where no process runs.
        The payload of a cancel, unless it is empty, stays as an event of it (`runtara_core.cancel_reasons`).
        `InvalidStateError` when terminal.
        """

    @abstractmethod
    async def send_custom_signal(self, instance_id: str, signal: CustomSignal, *, now_ms: int) -> None:
        """Store a payload for a checkpoint id (last write wins). `InvalidStateError` when terminal.

        Makes an instance that is suspended with reason waiting_signal due now.
        """

    @abstractmethod
    async def claim_launches(
        self,
        owner: str,
        *,
        instance_id: str | None,
        limit: int,
        lease_ms: int,
        limits: CoreLimits,
        now_ms: int,
        without_images: Sequence[str] = (),
        leases_ended_by_ms: int | None = None,
    ) -> list[LaunchClaim]:
        """Claim up to `limit` due launches: each becomes running, with a new epoch and a lease. Given oldest first.

        Tenants take turns when not all that is due is claimed. Running instances whose lease has expired come first,
        since they hold a place already; then those with the lowest number of instances of their tenant that run or are
        due before them, of equal numbers the oldest. Of very many tenants and images a storage may look at some
        hundreds at a time, as long as each comes round.

        Instances of `without_images`, which the owner knows that it cannot launch, are left to others.

        Due are managed instances that are pending or suspended with a wake time not after `now_ms`, and running ones
        whose lease has expired: its end is not after `leases_ended_by_ms`, or `now_ms` when that is None. Never more
        than `limits.max_concurrent_instances` run, nor more of one tenant than
        `limits.max_concurrent_instances_of_tenant` (0: no bound); ones over it stay due. So do those whose inputs would
        make the answer longer than a frame holds.

        A running one whose lease has expired is not launched again when an unacknowledged cancel or pause waits, which
        takes effect, nor after too many launches in a row without a new checkpoint: -> failed (reason orphaned). An
        unacknowledged shutdown was meant for the process that is gone: the claim closes it.
        """

    @abstractmethod
    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int, now_ms: int) -> list[LeaseKey]:
        """Extend the leases whose epoch is still current and running (also for a new owner); returns those lost."""

    @abstractmethod
    async def pending_cancels(self, owner: str, *, limit: int, now_ms: int) -> list[PendingCancel]:
        """Unacknowledged cancels of the running launches that `owner` holds, longest waiting first."""

    @abstractmethod
    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int) -> list[LastContact]:
        """When the running launches that `owner` holds were heard of last, in the order of instance ids."""

    @abstractmethod
    async def expire_leases(self, owner: str) -> int:
        """Let the leases of running instances that `owner` holds be over: they end at 0. Returns how many.

        For an owner known to be dead, once the launches of which a process is known have been taken over.
        """

    @abstractmethod
    async def report_exit(self, key: LeaseKey, report: ExitReport, *, limits: CoreLimits, now_ms: int) -> ExitDecision:
        """Say that the process of a launch has ended; stores metrics, exit code and stderr and drops the lease.

        Of an instance are kept the largest memory peak of its launches and the sum of their processor times. A launch
        counts once, however often its exit is reported and in whatever state the instance is, also when a later launch
        has begun; of such a one nothing else is kept.
        A result that the instance reported itself always wins. Running at this epoch: TIMEOUT
        -> failed, CANCELLED -> cancelled; ENVIRONMENT_RESTART and SHUTDOWN_REQUESTED -> suspended and due now; CRASHED
        with exit code 0 -> failed (it never reported a result, and no pause of this launch was withdrawn, which it may
        have obeyed); otherwise suspended and due after a backoff, or failed after too many relaunches without a new
        checkpoint. An unacknowledged cancel turns any of these into cancelled;
        an unacknowledged pause turns a suspension or crash into suspended (reason paused), not due; an unacknowledged
        shutdown turns a CRASHED with exit code 0 into suspended (reason shutdown_requested), due now.
        """

    @abstractmethod
    async def report_launch_failure(
        self,
        key: LeaseKey,
        error: str,
        *,
        permanent: bool,
        limits: CoreLimits,
        now_ms: int,
        is_due: bool = False,
    ) -> ExitDecision:
        """Give a claim back: due again after a backoff, or failed when permanent.

        One that `is_due` at once lacked something on its host alone, so that another may take it, and is not counted.
        However often a launch fails for reasons that are not the program's, the instance waits, with the last reason.
        """

    @abstractmethod
    async def next_wake_at_ms(self, *, without_images: Sequence[str] = ()) -> int | None:
        """When the next claim may succeed: the earliest wake time or lease expiry of managed instances.

        Those of `without_images` do not count.
        """

    @abstractmethod
    async def delete_finished(self, *, finished_before_ms: int, limit: int) -> int:
        """Remove up to `limit` terminal instances that finished before a time, oldest first, in one transaction.

        Everything that belongs to them goes too; never one that can still run. Returns how many went. An instance
        that is created under the id of a removed one begins above its epochs, so that nothing of the old one fits.
        """

    @abstractmethod
    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        """Checkpoints, newest first: in the opposite of the order in which they were stored."""

    @abstractmethod
    async def load_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        """One checkpoint with its state."""

    @abstractmethod
    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        """Events, newest first unless `where.ascending`.

        `runtara_core.event_texts.payload_contains` and `runtara_core.steps.read_scope` decide what a payload says.
        """

    # Summaries. What is here reads lists, so that a storage need not care; one that keeps rows of its own overrides it.

    async def list_step_summaries(self, instance_id: str, where: StepFilter) -> StepPage:
        """A page of the steps that a program in debug mode has traced, with `runtara_core.steps`.

        Here they are made of events, and `InvalidInputError` is raised above
        `runtara_core.listed_steps.MAX_TRACED_EVENTS`.
        """
        return await listed_steps.list_step_summaries(self.list_events, instance_id, where)

    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> list[ScopeInfo]:
        """A scope and those around it, the innermost first; empty when no step of it was traced.

        At most `runtara_core.steps.MAX_ANCESTORS`. Here they are made of events, as are the summaries of steps.
        """
        return await listed_steps.get_scope_ancestors(self.list_events, instance_id, scope_id)

    async def get_tenant_metrics(self, where: MetricsRange) -> tuple[MetricsBucket, ...]:
        """What has ended in each hour or day of a range. Here every instance that has is listed, a page at a time."""
        return await metrics_from_lists(self.list_instances, where)

    # Restarts; `runtara_core.restarts` has what is the same for every storage

    @abstractmethod
    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None, now_ms: int) -> RetriedInstance:
        """Let a failed or cancelled instance go on where it ended: pending, due now, under a new epoch.

        `InvalidStateError` in any other status, so of two retries at once one is refused. A retry with a `retry_key`
        that was accepted before changes nothing, whatever the status is by now.
        Input, checkpoints, sleeps, custom signals and passed deadlines stay. Output, error, termination reason and
        finished_at are cleared, the counters of recoveries and failed launches begin anew, `attempt` counts the retry.
        Signals of other kinds are gone. Retry attempts of calls without a result are forgotten, so that the call
        begins with its first attempt. Appends `runtara_core.restarts.retried_event`, at the new epoch.
        One that no environment manages becomes pending and is not due: it goes on when its program registers.
        """

    @abstractmethod
    async def fork_instance(self, fork: InstanceFork, *, now_ms: int) -> ForkedInstance:
        """Create a pending instance with input and earlier checkpoints of another, in any status, in one transaction.

        It gets `runtara_core.restarts.copied_checkpoints` in their order, with their times and without their call keys,
        and the sleeps and retry attempts under the same ids; no signals and no events but
        `runtara_core.restarts.forked_event`. The origin does not change, and nothing is recorded in it meanwhile.
        With `dry_run` it only says what would be copied.
        The same fork again (id, origin, step and image) is deduplicated; `InstanceExistsError` when the id is taken
        otherwise, `InstanceNotFoundError` without an origin, `InvalidStateError` when no environment manages it,
        `InvalidInputError` for a step that has no record, or above `MAX_FORKED_CHECKPOINTS`.
        """
