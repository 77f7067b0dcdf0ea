"""The storage contract on any `Database`: each verb is one work in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    SignalPoll,
    SignalType,
    SignalWait,
    SleepOutcome,
    WaitsBeside,
)

from runtara_core import migrations
from runtara_core.database import Database, Dialect, QuerySet, Transaction
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
from runtara_core.storage import Storage
from runtara_core.storages.sql import (
    checkpoints,
    claims,
    event_lists,
    events,
    launches,
    listing,
    registration,
    restarts,
    retention,
    retries,
    several_checkpoints,
    signal_waits,
    signals,
    steps,
)
from runtara_core.storages.sql.credentials import CREDENTIAL_QUERIES, SqlCredentialStore
from runtara_core.storages.sql.turns import START
from runtara_core.tenant_metrics import MetricsBucket, MetricsRange

P = ParamSpec("P")
T = TypeVar("T")

CORE_QUERIES = QuerySet.load(
    "runtara_core", "sql/core.sql", "sql/claims.sql", "sql/restarts.sql", "sql/steps.sql"
).merged(CREDENTIAL_QUERIES)
"""The queries that a `Database` for `SqlStorage` must carry."""


class SqlStorage(Storage):
    """Durable state in a SQL database.

    Args:
        database: carries `CORE_QUERIES`; opened and closed by the storage.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._credentials = SqlCredentialStore(database)
        self._claim_position = START

    @property
    def database(self) -> Database:
        """The database, for others who keep rows next to core's."""
        return self._database

    @property
    def is_durable(self) -> bool:
        return self._database.is_durable

    @property
    def credentials(self) -> CredentialStore:
        return self._credentials

    async def open(self) -> None:
        await self._database.open()
        try:
            await migrations.run(self._database)
        except BaseException:
            await self._database.close()
            raise

    async def close(self) -> None:
        await self._database.close()

    async def check_health(self) -> None:
        await self._read(listing.check_health)

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
        return await self._write(
            registration.register_instance,
            instance_id,
            tenant_id,
            epoch=epoch,
            checkpoint_id=checkpoint_id,
            registration_key=registration_key,
            limits=limits,
            now_ms=now_ms,
        )

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
        return await self._write(
            checkpoints.checkpoint, instance_id, epoch, checkpoint_id, state, now_ms=now_ms, call_key=call_key
        )

    async def checkpoints(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint], *, now_ms: int
    ) -> list[CheckpointResult]:
        return await self._write(several_checkpoints.checkpoints, instance_id, epoch, new, now_ms=now_ms)

    async def get_checkpoint(self, instance_id: str, checkpoint_id: str) -> bytes | None:
        return await self._read(checkpoints.get_checkpoint, instance_id, checkpoint_id)

    async def get_progress(
        self, instance_id: str, checkpoint_id: str, *, now_ms: int, epoch: int | None = None
    ) -> CallProgress:
        return await self._read(retries.get_progress, instance_id, checkpoint_id, now_ms=now_ms, epoch=epoch)

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
        return await self._write(
            checkpoints.sleep,
            instance_id,
            epoch,
            checkpoint_id,
            state,
            duration_ms=duration_ms,
            suspend_above_ms=suspend_above_ms,
            now_ms=now_ms,
        )

    async def report_event(
        self, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
    ) -> InstanceStatus:
        return await self._write(events.report_event, instance_id, epoch, event, now_ms=now_ms)

    async def poll_signals(
        self, instance_id: str, epoch: int | None, checkpoint_id: str | None, *, now_ms: int
    ) -> SignalPoll:
        poll, contact_due = await self._read(signals.poll_signals, instance_id, epoch, checkpoint_id, now_ms=now_ms)
        if contact_due:
            await self._write(signals.record_contact, instance_id, epoch, now_ms=now_ms)
        return poll

    async def find_news(self, watched: Sequence[WatchedInstance]) -> list[WatchedInstance]:
        return await self._read(signals.find_news, watched)

    async def record_contacts(self, keys: Sequence[LeaseKey], *, now_ms: int) -> None:
        await self._write(signals.record_contacts, keys, now_ms=now_ms)

    async def acknowledge_signal(
        self, instance_id: str, epoch: int | None, signal_type: SignalType, signal_id: int | None, *, now_ms: int
    ) -> InstanceStatus:
        return await self._write(signals.acknowledge_signal, instance_id, epoch, signal_type, signal_id, now_ms=now_ms)

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
        attempt = RetryAttempt(attempt_number, error, wait_ms, retries_used, rate_limit_waited_ms, max_attempts)
        return await self._write(
            retries.record_retry_attempt,
            instance_id,
            epoch,
            checkpoint_id,
            attempt,
            suspend_above_ms=suspend_above_ms,
            now_ms=now_ms,
        )

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
        return await self._write(
            signal_waits.wait_signal,
            instance_id,
            epoch,
            checkpoint_id,
            timeout_ms=timeout_ms,
            suspend_above_ms=suspend_above_ms,
            beside=beside,
            now_ms=now_ms,
        )

    async def create_instance(self, new: NewInstance, *, now_ms: int) -> CreatedInstance:
        return await self._write(registration.create_instance, new, now_ms=now_ms)

    async def get_instance(self, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        return await self._read(listing.get_instance, instance_id, tenant_id=tenant_id)

    async def read_input(self, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
        return await self._read(listing.read_input, instance_id, offset=offset, limit_bytes=limit_bytes)

    async def list_instances(self, where: InstanceFilter) -> InstancePage:
        return await self._read(listing.list_instances, where)

    async def count_running(self) -> int:
        return await self._read(listing.count_running)

    async def send_signal(
        self, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
    ) -> InstanceStatus:
        return await self._write(signals.send_signal, instance_id, signal_type, payload, now_ms=now_ms)

    async def send_custom_signal(self, instance_id: str, signal: CustomSignal, *, now_ms: int) -> None:
        await self._write(signals.send_custom_signal, instance_id, signal, now_ms=now_ms)

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
        claimed = await self._write(
            claims.claim_launches,
            owner,
            instance_id=instance_id,
            limit=limit,
            lease_ms=lease_ms,
            limits=limits,
            now_ms=now_ms,
            without_images=without_images,
            leases_ended_by_ms=now_ms if leases_ended_by_ms is None else leases_ended_by_ms,
            position=self._claim_position,
        )
        self._claim_position = claimed.position
        return claimed.claims

    async def renew_leases(self, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int, now_ms: int) -> list[LeaseKey]:
        return await self._write(launches.renew_leases, owner, keys, lease_ms=lease_ms, now_ms=now_ms)

    async def pending_cancels(self, owner: str, *, limit: int, now_ms: int) -> list[PendingCancel]:
        return await self._read(launches.pending_cancels, owner, limit=limit, now_ms=now_ms)

    async def last_contacts(self, owner: str, *, after_instance_id: str = "", limit: int) -> list[LastContact]:
        return await self._read(launches.last_contacts, owner, after_instance_id=after_instance_id, limit=limit)

    async def expire_leases(self, owner: str) -> int:
        return await self._write(launches.expire_leases, owner)

    async def report_exit(self, key: LeaseKey, report: ExitReport, *, limits: CoreLimits, now_ms: int) -> ExitDecision:
        return await self._write(launches.report_exit, key, report, limits=limits, now_ms=now_ms)

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
        return await self._write(
            launches.report_launch_failure,
            key,
            error,
            permanent=permanent,
            limits=limits,
            now_ms=now_ms,
            is_due=is_due,
        )

    async def next_wake_at_ms(self, *, without_images: Sequence[str] = ()) -> int | None:
        return await self._read(claims.next_wake_at_ms, without_images=without_images)

    async def delete_finished(self, *, finished_before_ms: int, limit: int) -> int:
        deleted = await self._write(retention.delete_finished, finished_before_ms=finished_before_ms, limit=limit)
        if deleted and self._database.dialect is Dialect.SQLITE:
            await retention.shrink(self._database)
        return deleted

    async def list_checkpoints(self, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
        return await self._read(checkpoints.list_checkpoints, instance_id, where)

    async def load_checkpoint(self, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
        return await self._read(checkpoints.load_checkpoint, instance_id, checkpoint_id)

    async def list_events(self, instance_id: str, where: EventFilter) -> EventPage:
        return await self._read(event_lists.list_events, instance_id, where)

    async def list_step_summaries(self, instance_id: str, where: StepFilter) -> StepPage:
        return await self._read(steps.list_step_summaries, instance_id, where)

    async def get_scope_ancestors(self, instance_id: str, scope_id: str) -> list[ScopeInfo]:
        return await self._read(steps.get_scope_ancestors, instance_id, scope_id)

    async def get_tenant_metrics(self, where: MetricsRange) -> tuple[MetricsBucket, ...]:
        return await self._read(steps.get_tenant_metrics, where)

    async def retry_instance(self, instance_id: str, *, retry_key: str | None = None, now_ms: int) -> RetriedInstance:
        return await self._write(restarts.retry_instance, instance_id, retry_key=retry_key, now_ms=now_ms)

    async def fork_instance(self, fork: InstanceFork, *, now_ms: int) -> ForkedInstance:
        return await self._write(restarts.fork_instance, fork, now_ms=now_ms)

    async def _write(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._database.run(lambda transaction: verb(transaction, *args, **kwargs), operation=verb.__name__)

    async def _read(
        self,
        verb: Callable[Concatenate[Transaction, P], Coroutine[Any, Any, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._database.run(
            lambda transaction: verb(transaction, *args, **kwargs), operation=verb.__name__, read_only=True
        )
