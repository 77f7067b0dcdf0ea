"""The storage in memory: the verbs of programs, and those of management."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from runtara_core.cancel_reasons import cancel_requested_event
from runtara_core.event_texts import payload_contains
from runtara_core.models import (
    CheckpointFilter,
    CheckpointPage,
    CheckpointRecord,
    CheckpointSummary,
    CoreLimits,
    CreatedInstance,
    EventFilter,
    EventPage,
    EventRecord,
    ExitDecision,
    ExitReport,
    Instance,
    InstanceFilter,
    InstancePage,
    LastContact,
    LaunchClaim,
    LeaseKey,
    NewInstance,
    PendingCancel,
    RecoveryPolicy,
)
from runtara_core.security import CredentialStore
from runtara_core.steps import read_scope
from runtara_sdk.errors import InstanceExistsError, InvalidInputError
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType, TerminationReason

from acme_storage.checks import MAX_PAGE, page, require_name, tail
from acme_storage.credentials import MemoryCredentialStore
from acme_storage.record import ERROR_CHARACTERS, Record, SentSignal
from acme_storage.restarts import RestartVerbs

_STDERR_CHARACTERS = 8 * 1024
_CLAIM_BYTES = 32 * 1024 * 1024
_ENDS_OF_ENVIRONMENTS = (TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED)
_EXPLAINED_ENDS = {
    TerminationReason.TIMEOUT: "the process ran longer than its timeout and was stopped",
    TerminationReason.HEARTBEAT_TIMEOUT: "the process was not heard of for too long and was stopped",
    TerminationReason.OUT_OF_MEMORY: "the program ran out of memory and was killed",
    TerminationReason.ENVIRONMENT_RESTART: "the process ended with its environment",
    TerminationReason.SHUTDOWN_REQUESTED: "the process was stopped with its environment",
}


class MemoryStorage(RestartVerbs):
    """State that lives as long as the object is open."""

    def __init__(self) -> None:
        super().__init__()
        self._credentials = MemoryCredentialStore()

    @property
    def is_durable(self) -> bool:
        return False

    @property
    def credentials(self) -> CredentialStore:
        return self._credentials

    def forget(self) -> None:
        """Be empty again."""
        self.records.clear()
        self.first_epoch = 0
        self.sequence = itertools.count(1)
        self._credentials.forget()

    async def open(self) -> None:
        """Nothing to connect to."""

    async def close(self) -> None:
        self.forget()

    async def check_health(self) -> None:
        """Always well."""

    async def create_instance(self, new: NewInstance, *, now_ms: int) -> CreatedInstance:
        require_name("instance_id", new.instance_id)
        require_name("tenant_id", new.tenant_id)
        if not new.image_id:
            raise InvalidInputError("image_id must not be empty")
        known = self.records.get(new.instance_id)
        if known is None:
            self.records[new.instance_id] = Record(
                new.instance_id,
                new.tenant_id,
                new.image_id,
                self.first_epoch,
                now_ms,
                wake_at_ms=now_ms,
                input=new.input,
                launch_options=new.launch_options,
            )
        elif (known.tenant_id, known.image_id) != (new.tenant_id, new.image_id):
            raise InstanceExistsError(f"instance id {new.instance_id} is taken: choose another")
        return CreatedInstance(new.instance_id, deduplicated=known is not None)

    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        record = self.records.get(instance_id)
        return record.row(whole=True) if record and tenant_id in (None, record.tenant_id) else None

    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        column, _, direction = where.order_by.rpartition("_")
        if column not in ("created_at", "finished_at") or direction not in ("asc", "desc"):
            raise InvalidInputError(f"order_by {where.order_by!r} is unknown")
        found = [record.row(whole=False) for record in self.records.values() if _matches(record, where)]

        def order(row: Instance) -> tuple[bool, int, str]:
            at_ms = row.created_at_ms if column == "created_at" else row.finished_at_ms
            # Without a value always last.
            return (at_ms is None) is (direction == "asc"), at_ms or 0, row.instance_id

        found.sort(key=order, reverse=direction == "desc")
        total = 0 if where.without_total else len(found)
        if where.after is not None:
            key = where.after
            if key.time_ms is None and column == "created_at":
                raise InvalidInputError("a page by created_at begins behind a time")
            place = ((key.time_ms is None) is (direction == "asc"), key.time_ms or 0, key.instance_id)
            found = [row for row in found if (order(row) < place if direction == "desc" else order(row) > place)]
        return InstancePage(page(found, where.limit, where.offset), total)

    async def count_running(self) -> int:
        return self.running_count()

    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
    ) -> InstanceStatus:
        record = self.record(instance_id)
        record.require_unfinished()
        if signal_type is SignalType.CANCEL and payload:
            self._append_once(record, cancel_requested_event(record.epoch, payload), now_ms)
        sent = record.signals.get(signal_type)
        match signal_type:
            case SignalType.RESUME if record.is_running:
                record.close_signal(SignalType.PAUSE, now_ms)
            case SignalType.RESUME:
                record.wake_at_ms = now_ms
            case _ if record.is_running and sent is not None and not sent.acknowledged:
                sent.payload = payload
            case _ if record.is_running:
                record.signals[signal_type] = SentSignal(next(self.sequence), payload, now_ms)
            case SignalType.CANCEL:
                record.become(InstanceStatus.CANCELLED, TerminationReason.CANCELLED, now_ms)
            case SignalType.PAUSE:
                record.become(InstanceStatus.SUSPENDED, TerminationReason.PAUSED, now_ms)
        return record.status

    async def send_custom_signal(self, instance_id: str, signal: CustomSignal, *, now_ms: int) -> None:
        require_name("checkpoint_id", signal.checkpoint_id)
        record = self.record(instance_id)
        record.require_unfinished()
        record.custom_signals[signal.checkpoint_id] = signal.payload
        if record.status is InstanceStatus.SUSPENDED and record.reason is TerminationReason.WAITING_SIGNAL:
            record.wake_at_ms = now_ms

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
        leases_ended_by_ms = now_ms if leases_ended_by_ms is None else leases_ended_by_ms
        due = [
            record
            for record in self.records.values()
            if instance_id in (None, record.instance_id)
            and record.image_id not in without_images
            and record.due_at_ms is not None
            and record.due_at_ms <= (leases_ended_by_ms if record.is_running else now_ms)
        ]
        limit = max(0, min(limit, MAX_PAGE))
        chosen = self._by_turns(due, limit, limits)
        chosen.sort(key=lambda record: (record.due_at_ms, not record.is_running))
        claims: list[LaunchClaim] = []
        for record in chosen:
            claim = _claim(record, owner, now_ms + lease_ms, limits.recovery, now_ms)
            if claim is not None:
                claims.append(claim)
            if sum(len(each.input) for each in claims) > _CLAIM_BYTES:
                break
        return claims

    def _by_turns(self, due: list[Record], limit: int, limits: CoreLimits) -> list[Record]:
        """What has a place already, then those with the fewest of their tenant that run or come before them."""
        due.sort(key=lambda record: record.due_at_ms or 0)
        expired = [record for record in due if record.is_running][:limit]
        tenants = Counter(record.tenant_id for record in self.records.values() if record.is_running)
        placed: list[tuple[int, int, Record]] = []
        for number, record in enumerate(record for record in due if not record.is_running):
            tenants[record.tenant_id] += 1
            if tenants[record.tenant_id] <= (limits.max_concurrent_instances_of_tenant or len(self.records)):
                placed.append((tenants[record.tenant_id], number, record))
        room = max(0, min(limit - len(expired), limits.max_concurrent_instances - self.running_count()))
        return expired + [record for *_, record in sorted(placed)[:room]]

    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int, now_ms: int) -> list[LeaseKey]:
        lost = []
        for key in sorted(set(keys), key=lambda key: (key.instance_id, key.epoch)):
            record = self.records.get(key.instance_id)
            if record is None or not record.is_running or record.image_id is None or record.epoch != key.epoch:
                lost.append(key)
            else:
                record.lease_owner, record.lease_until_ms = owner, now_ms + lease_ms
        return lost

    async def pending_cancels(self, owner: str, *, limit: int, now_ms: int) -> list[PendingCancel]:
        found = [
            PendingCancel(record.instance_id, record.epoch, now_ms - sent.sent_at_ms)
            for record in self.records.values()
            if record.is_running and record.image_id is not None and record.lease_owner == owner
            for sent in (record.signals.get(SignalType.CANCEL),)
            if sent is not None and not sent.acknowledged
        ]
        return sorted(found, key=lambda cancel: -cancel.age_ms)[: max(0, min(limit, MAX_PAGE))]

    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int) -> list[LastContact]:
        found = [
            LastContact(record.instance_id, record.epoch, record.last_contact_at_ms)
            for record in self.records.values()
            if record.is_running and record.lease_owner == owner and record.instance_id > after_instance_id
        ]
        return sorted(found, key=lambda contact: contact.instance_id)[: max(0, min(limit, MAX_PAGE))]

    async def expire_leases(self, owner: str) -> int:
        expired = [
            record
            for record in self.records.values()
            if record.is_running and record.lease_owner == owner and record.lease_until_ms
        ]
        for record in expired:
            record.lease_until_ms = 0
        return len(expired)

    async def report_exit(self, key: LeaseKey, report: ExitReport, *, limits: CoreLimits, now_ms: int) -> ExitDecision:
        record = self.record(key.instance_id)
        record.count_usage(key.epoch, report)
        if record.epoch != key.epoch:
            return ExitDecision(record.status, record.wake_at_ms, stale=True)
        stderr = tail(report.stderr_tail, _STDERR_CHARACTERS)
        record.stderr = stderr or record.stderr
        if report.exit_code is not None:
            record.exit_code = report.exit_code
        if record.is_running:
            _end(record, report, limits.recovery, now_ms)
        return ExitDecision(record.status, record.wake_at_ms)

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
        record = self.record(key.instance_id)
        if record.epoch != key.epoch or not record.is_running:
            return ExitDecision(record.status, record.wake_at_ms, stale=record.epoch != key.epoch)
        record.failed_launches += not is_due
        reason = TerminationReason.LAUNCH_FAILED
        text = tail(error, ERROR_CHARACTERS) or "the launch failed without an error text"
        if permanent and not record.waiting_for(SignalType.CANCEL):
            record.become(InstanceStatus.FAILED, reason, now_ms, error=text)
        else:
            status = InstanceStatus.PENDING if record.started_at_ms is None else InstanceStatus.SUSPENDED
            wake_at_ms = now_ms if is_due else now_ms + limits.recovery.backoff_ms(record.failed_launches + 1)
            record.park(reason, now_ms, wake_at_ms, status=status, error=text)
        return ExitDecision(record.status, record.wake_at_ms)

    async def next_wake_at_ms(self, *, without_images: Sequence[str] = ()) -> int | None:
        counted = (record for record in self.records.values() if record.image_id not in without_images)
        return min((at_ms for record in counted if (at_ms := record.due_at_ms) is not None), default=None)

    async def delete_finished(self, *, finished_before_ms: int, limit: int) -> int:
        finished = [
            record
            for record in self.records.values()
            if record.finished_at_ms is not None and record.finished_at_ms < finished_before_ms
        ]
        finished.sort(key=lambda record: record.finished_at_ms or 0)
        for record in finished[: max(0, limit)]:
            self.first_epoch = max(self.first_epoch, record.epoch + 1)
            del self.records[record.instance_id]
        return min(len(finished), max(0, limit))

    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        record = self.records.get(instance_id)
        stored = list(record.checkpoints.values()) if record else []
        if where.before_checkpoint_id is not None:
            ids = [each.checkpoint_id for each in stored]
            stored = stored[: ids.index(where.before_checkpoint_id)] if where.before_checkpoint_id in ids else []
        found = [
            CheckpointSummary(each.checkpoint_id, instance_id, each.created_at_ms, len(each.state))
            for each in reversed(stored)
            if where.checkpoint_id in (None, each.checkpoint_id)
            and _within(each.created_at_ms, where.created_after_ms, where.created_before_ms)
        ]
        return CheckpointPage(page(found, where.limit, where.offset), 0 if where.without_total else len(found))

    async def load_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        record = self.records.get(instance_id)
        return record.checkpoints.get(checkpoint_id) if record else None

    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        record = self.records.get(instance_id)
        found = [event for event in (record.events if record else ()) if _shows(event, where)]
        if not where.ascending:
            found.reverse()
        return EventPage(page(found, where.limit, where.offset), 0 if where.without_total else len(found))


def _shows(event: EventRecord, where: EventFilter) -> bool:
    scope = read_scope(event.event_type, event.payload)
    return (
        where.event_type in (None, event.event_type)
        and where.subtype in (None, event.subtype)
        and _within(event.created_at_ms, where.created_after_ms, where.created_before_ms)
        and event.event_id > (where.after_event_id or 0)
        and (where.before_event_id is None or event.event_id < where.before_event_id)
        and where.scope_id in (None, scope.scope_id)
        and where.parent_scope_id in (None, scope.parent_scope_id)
        and not (where.root_scopes_only and scope.is_nested)
        and (not where.payload_contains or payload_contains(event.payload, where.payload_contains))
    )


def _within(at_ms: int | None, after_ms: int | None, before_ms: int | None) -> bool:
    if at_ms is None:
        return after_ms is None and before_ms is None
    return (after_ms is None or at_ms >= after_ms) and (before_ms is None or at_ms < before_ms)


def _matches(record: Record, where: InstanceFilter) -> bool:
    return (
        where.tenant_id in (None, record.tenant_id)
        and (not where.statuses or record.status in where.statuses)
        and (not where.termination_reasons or record.reason in where.termination_reasons)
        and (where.image_ids is None or record.image_id in where.image_ids)
        and _within(record.created_at_ms, where.created_after_ms, where.created_before_ms)
        and _within(record.finished_at_ms, where.finished_after_ms, where.finished_before_ms)
    )


def _claim(record: Record, owner: str, lease_until_ms: int, policy: RecoveryPolicy, now_ms: int) -> LaunchClaim | None:
    if record.is_running:
        if record.waiting_for(SignalType.CANCEL, SignalType.PAUSE):
            record.recovery_attempts += 1
            record.park(TerminationReason.ORPHANED, now_ms, now_ms, error="its environment vanished")
            return None
        if record.recovery_attempts >= policy.max_recoveries:
            error = f"its environment vanished; {_gave_up(policy)}"
            record.become(InstanceStatus.FAILED, TerminationReason.ORPHANED, now_ms, error=error)
            return None
        record.recovery_attempts += 1
        record.close_signal(SignalType.SHUTDOWN, now_ms)
    record.status, record.reason, record.error = InstanceStatus.RUNNING, None, None
    record.epoch += 1
    record.finished_at_ms = record.wake_at_ms = None
    record.last_contact_at_ms = now_ms
    record.lease_owner, record.lease_until_ms = owner, lease_until_ms
    return LaunchClaim(
        instance_id=record.instance_id,
        tenant_id=record.tenant_id,
        epoch=record.epoch,
        image_id=record.image_id or "",
        input=record.input or b"",
        launch_options=record.launch_options,
        checkpoint_id=record.checkpoint_id,
        lease_until_ms=lease_until_ms,
        failed_launches=record.failed_launches,
    )


def _end(record: Record, report: ExitReport, policy: RecoveryPolicy, now_ms: int) -> None:
    """What the end of a process means while its instance is running."""
    reason, error = report.reason, _explain(report)
    if reason is TerminationReason.CANCELLED:
        record.become(InstanceStatus.CANCELLED, reason, now_ms)
        return
    if reason is TerminationReason.TIMEOUT and not record.waiting_for(SignalType.CANCEL):
        record.failed_launches = 0
        record.become(InstanceStatus.FAILED, reason, now_ms, error=error)
        return
    if reason in _ENDS_OF_ENVIRONMENTS:
        record.park(reason, now_ms, now_ms, error=error)
        return
    exhausted = record.recovery_attempts >= policy.max_recoveries
    silent = reason is TerminationReason.CRASHED and report.exit_code == 0
    if silent and record.waiting_for(SignalType.SHUTDOWN):
        record.park(TerminationReason.SHUTDOWN_REQUESTED, now_ms, now_ms)
        return
    silent = silent and not record.obeyed_withdrawn_pause()
    if not record.waiting_for(SignalType.CANCEL, SignalType.PAUSE) and (silent or exhausted):
        record.failed_launches = 0
        text = error if silent else f"{error}; {_gave_up(policy)}"
        record.become(InstanceStatus.FAILED, TerminationReason.CRASHED if silent else reason, now_ms, error=text)
        return
    record.recovery_attempts += 1
    record.park(reason, now_ms, now_ms + policy.backoff_ms(record.recovery_attempts), error=error)


def _gave_up(policy: RecoveryPolicy) -> str:
    return f"launched again {policy.max_recoveries} times in a row without a new checkpoint"


def _explain(report: ExitReport) -> str:
    text = _EXPLAINED_ENDS.get(report.reason)
    if text is None:
        match report.exit_code:
            case None:
                text = "the process ended for an unknown reason"
            case 0:
                text = "the process exited without reporting a result"
            case code if code < 0:
                text = f"the process was killed by signal {-code}"
            case code:
                text = f"the process exited with code {code}"
    lines = tail(report.stderr_tail, _STDERR_CHARACTERS).strip().splitlines()
    return f"{text}: {lines[-1][-500:]}" if lines else text
