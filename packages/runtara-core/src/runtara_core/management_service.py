"""Core's management verbs on a storage; what the environment calls in the one-process mode."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidInputError, InvalidStateError, StorageError
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalType
from runtara_sdk.redaction import redact_text

import runtara_core
from runtara_core.due import DueBell, wait_until_rung
from runtara_core.instance_service import require_size
from runtara_core.lease_grace import LeaseGrace
from runtara_core.management import MAX_IMAGES_WITHOUT, CoreManagement
from runtara_core.models import (
    MAX_INPUT_PART_BYTES,
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
    HealthReport,
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
)
from runtara_core.security import InstanceToken, TokenAuthority, TokenSecret
from runtara_core.signal_watch import SignalWatch
from runtara_core.steps import ScopeInfo, StepFilter, StepPage
from runtara_core.storage import Storage
from runtara_core.tenant_metrics import MetricsBucket, MetricsRange

MAX_CLAIM_WAIT_MS = 30_000
"""Longest wait of one `claim_launches` call."""

MAX_PAGE = 1_000
"""Most rows of one page."""

MAX_SIGNAL_BYTES = 16 * 1024 * 1024
"""Largest payload of a signal: several may wait, and the instance gets them in one answer."""

_MAX_RETIRED_OWNERS = 1_000
_OTHER_PROCESS_INTERVAL_MS = 5_000
_AT_LIMIT_INTERVAL_MS = 1_000


class ManagementService(CoreManagement):
    """Serves environments, in process or behind the management port."""

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        limits: CoreLimits,
        due: DueBell,
        tokens: TokenAuthority | None = None,
        watch: SignalWatch | None = None,
        grace: LeaseGrace | None = None,
    ) -> None:
        self._storage = storage
        self._tokens = tokens or TokenAuthority(storage.credentials, clock)
        self._clock = clock
        self._limits = limits
        self._due = due
        self._watch = watch or SignalWatch(storage, clock)
        self._grace = grace or LeaseGrace(clock)
        self._started_at_ms = clock.now_ms()
        # Owners known to be dead: a claim call of theirs that still waits here must not be handed anything.
        self._retired_owners: deque[str] = deque(maxlen=_MAX_RETIRED_OWNERS)

    async def health_check(self) -> HealthReport:
        healthy = True
        active = 0
        try:
            await self._storage.check_health()
            active = await self._storage.count_running()
        except StorageError:
            healthy = False
        return HealthReport(
            healthy=healthy,
            version=runtara_core.__version__,
            uptime_ms=self._clock.now_ms() - self._started_at_ms,
            active_instances=active,
        )

    async def create_instance(self, new: NewInstance) -> CreatedInstance:
        created = await self._storage.create_instance(new, now_ms=self._clock.now_ms())
        self._due.ring()
        return created

    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        return await self._storage.get_instance(instance_id, tenant_id=tenant_id)

    async def read_input(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        return await self._storage.read_input(
            instance_id, offset=offset, limit_bytes=min(limit_bytes, MAX_INPUT_PART_BYTES)
        )

    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        return await self._storage.list_instances(where)

    async def send_signal(self, instance_id: str, signal_type: SignalType, payload: bytes = b"") -> InstanceStatus:
        require_size("payload", payload, MAX_SIGNAL_BYTES)
        status = await self._storage.send_signal(instance_id, signal_type, payload, now_ms=self._clock.now_ms())
        self._watch.ring(instance_id)
        self._due.ring()
        return status

    async def send_custom_signal(self, instance_id: str, signal: CustomSignal) -> None:
        require_size("payload", signal.payload, MAX_SIGNAL_BYTES)
        await self._storage.send_custom_signal(instance_id, signal, now_ms=self._clock.now_ms())
        self._watch.ring(instance_id)
        self._due.ring()

    async def claim_launches(
        self,
        owner: str,
        *,
        limit: int,
        lease_ms: int,
        wait_ms: int = 0,
        instance_id: str | None = None,
        without_images: Sequence[str] = (),
    ) -> list[LaunchClaim]:
        if len(without_images) > MAX_IMAGES_WITHOUT:
            raise InvalidInputError(
                f"a claim leaves out {len(without_images)} images: name at most {MAX_IMAGES_WITHOUT} of them"
            )
        now_ms = self._clock.now_ms()
        deadline_ms = now_ms + min(wait_ms, MAX_CLAIM_WAIT_MS)
        while owner not in self._retired_owners:
            bell = self._due.listen()
            # Before the claim: a claim that cannot be signed would be lost until its lease ends.
            secret = await self._tokens.signing_secret()
            looked_at_ms = self._clock.now_ms()
            with self._noting_outages(lease_ms):
                claims = await self._storage.claim_launches(
                    owner,
                    instance_id=instance_id,
                    limit=min(limit, MAX_PAGE),
                    lease_ms=lease_ms,
                    limits=self._limits,
                    now_ms=looked_at_ms,
                    without_images=without_images,
                    leases_ended_by_ms=self._grace.ended_by_ms(looked_at_ms, lease_ms),
                )
            for claim in claims:
                self._watch.ring(claim.instance_id)
            if claims and owner in self._retired_owners:
                # It was declared dead while the claim was under way.
                await self.expire_leases(owner)
                break
            # A clock that was set back takes the deadline along, or the wait would last for hours.
            before_ms, now_ms = now_ms, self._clock.now_ms()
            deadline_ms -= max(before_ms - now_ms, 0)
            left_ms = deadline_ms - now_ms
            if claims or left_ms <= 0:
                return [_signed(claim, secret) for claim in claims]
            pause_ms = min(left_ms, await self._next_look_ms(instance_id, looked_at_ms, without_images))
            await wait_until_rung(bell, self._clock, pause_ms / 1000)
            if self._clock.now_ms() - now_ms > pause_ms + lease_ms // 2:
                # The host was suspended, or its clock put forward: leases of the living look expired. The caller
                # renews its own before it asks again, and those of others are left to them for a while.
                self._grace.note_outage()
                return []
        # Never an empty list: an owner that is alive after all would ask again at once, for ever.
        raise InvalidStateError(f"owner {owner} was declared dead: others may launch what it had claimed")

    async def _next_look_ms(self, instance_id: str | None, looked_at_ms: int, without_images: Sequence[str]) -> int:
        """How long nothing can become due after a look in vain, as far as the database tells."""
        if instance_id is None:
            due_at_ms = await self._storage.next_wake_at_ms(without_images=without_images)
        else:
            due_at_ms = await self._due_at_ms(instance_id)
        if due_at_ms is None:
            return _OTHER_PROCESS_INTERVAL_MS
        if due_at_ms <= looked_at_ms:
            # It was due and was not claimed: the concurrency limit is reached. What has become due since is not meant.
            return _AT_LIMIT_INTERVAL_MS
        return max(0, min(due_at_ms - self._clock.now_ms(), _OTHER_PROCESS_INTERVAL_MS))

    async def _due_at_ms(self, instance_id: str) -> int | None:
        """Of one instance, whatever else is due."""
        instance = await self._storage.get_instance(instance_id)
        if instance is None or instance.status.is_terminal:
            return None
        return instance.lease_until_ms if instance.status is InstanceStatus.RUNNING else instance.wake_at_ms

    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int) -> list[LeaseKey]:
        with self._noting_outages(lease_ms):
            return await self._storage.renew_leases(owner, keys, lease_ms=lease_ms, now_ms=self._clock.now_ms())

    @contextmanager
    def _noting_outages(self, lease_ms: int) -> Iterator[None]:
        began_ms = self._clock.now_ms()
        try:
            yield
        except StorageError:
            self._grace.note_outage()
            raise
        if self._clock.now_ms() - began_ms > lease_ms // 2:
            # Slow, without an error: what this call had to wait for held up the renewals of others, too.
            self._grace.note_outage()

    async def pending_cancels(self, owner: str, *, limit: int = 100) -> list[PendingCancel]:
        return await self._storage.pending_cancels(owner, limit=limit, now_ms=self._clock.now_ms())

    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int = 100) -> list[LastContact]:
        return await self._storage.last_contacts(owner, after_instance_id=after_instance_id, limit=limit)

    async def expire_leases(self, owner: str) -> int:
        self._retired_owners.append(owner)
        expired = await self._storage.expire_leases(owner)
        self._due.ring()
        return expired

    async def report_exit(self, key: LeaseKey, report: ExitReport) -> ExitDecision:
        report = replace(report, stderr_tail=redact_text(report.stderr_tail))
        decision = await self._storage.report_exit(key, report, limits=self._limits, now_ms=self._clock.now_ms())
        self._watch.ring(key.instance_id)
        self._due.ring()
        return decision

    async def report_launch_failure(
        self, key: LeaseKey, error: str, *, permanent: bool, is_due: bool = False
    ) -> ExitDecision:
        decision = await self._storage.report_launch_failure(
            key,
            redact_text(error),
            permanent=permanent,
            limits=self._limits,
            now_ms=self._clock.now_ms(),
            is_due=is_due,
        )
        self._watch.ring(key.instance_id)
        self._due.ring()
        return decision

    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        return await self._storage.list_checkpoints(instance_id, where)

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        return await self._storage.load_checkpoint(instance_id, checkpoint_id)

    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        return await self._storage.list_events(instance_id, where)

    async def list_step_summaries(self, instance_id: str, where: StepFilter) -> StepPage:
        return await self._storage.list_step_summaries(instance_id, where)

    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> list[ScopeInfo]:
        return await self._storage.get_scope_ancestors(instance_id, scope_id)

    async def get_tenant_metrics(self, where: MetricsRange) -> tuple[MetricsBucket, ...]:
        return await self._storage.get_tenant_metrics(where)

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None) -> RetriedInstance:
        retried = await self._storage.retry_instance(instance_id, retry_key=retry_key, now_ms=self._clock.now_ms())
        self._watch.ring(instance_id)
        self._due.ring()
        return retried

    async def fork_instance(self, fork: InstanceFork) -> ForkedInstance:
        created = await self._storage.fork_instance(fork, now_ms=self._clock.now_ms())
        self._due.ring()
        return created


def _signed(claim: LaunchClaim, secret: TokenSecret) -> LaunchClaim:
    token = InstanceToken(claim.instance_id, claim.tenant_id, claim.epoch)
    return replace(claim, token=token.sign(secret))
