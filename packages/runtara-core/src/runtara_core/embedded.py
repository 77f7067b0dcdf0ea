"""The instance API without a daemon: the same service, on a database opened by the program itself.

Contributed to the SDK through the entry-point group `runtara.backends`. Nobody starts the program again after it exits,
so it waits out its sleeps in process; deadlines, checkpoints and signals are those of the daemons.
"""

from __future__ import annotations

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import InvalidStateError
from runtara_sdk.models import (
    CallProgress,
    CheckpointResult,
    InstanceEvent,
    Registration,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalWait,
    SleepOutcome,
    StatusReport,
)

from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.models import CoreLimits
from runtara_core.storage import Storage
from runtara_core.storages import open_storage


async def connect_embedded(database_url: str, instance_id: str, tenant_id: str) -> InstanceBackend:
    """A backend on the database of `database_url`; opened by its `connect`."""
    return EmbeddedBackend(await open_storage(database_url), instance_id, tenant_id)


class EmbeddedBackend(InstanceBackend):
    """Durable operations of one instance on a storage in this process."""

    def __init__(
        self,
        storage: Storage,
        instance_id: str,
        tenant_id: str,
        *,
        clock: Clock | None = None,
        limits: CoreLimits | None = None,
    ) -> None:
        self._storage = storage
        self._service = InstanceService(storage, clock or SystemClock(), limits or CoreLimits(), DueBell())
        self._instance_id = instance_id
        self._tenant_id = tenant_id
        self._epoch: int | None = None
        self._open = False

    @property
    def can_suspend(self) -> bool:
        return False

    async def connect(self) -> None:
        if not self._open:
            await self._storage.open()
            self._open = True

    async def close(self) -> None:
        if self._open:
            self._open = False
            await self._storage.close()

    async def register(self, checkpoint_id: str | None) -> Registration:
        registration = await self._service.register(
            self._instance_id, self._tenant_id, epoch=None, checkpoint_id=checkpoint_id
        )
        self._epoch = registration.epoch
        return registration

    async def checkpoint(self, checkpoint_id: str, state: bytes) -> CheckpointResult:
        return await self._service.checkpoint(self._instance_id, self._current_epoch(), checkpoint_id, state)

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        return await self._service.get_checkpoint(self._instance_id, checkpoint_id)

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        return await self._service.get_progress(self._instance_id, checkpoint_id)

    async def sleep(self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int) -> SleepOutcome:
        return await self._service.sleep(
            self._instance_id,
            self._current_epoch(),
            checkpoint_id,
            state,
            duration_ms=duration_ms,
            suspend_above_ms=None,
        )

    async def report_event(self, event: InstanceEvent) -> None:
        await self._service.report_event(self._instance_id, self._current_epoch(), event)

    async def poll_signals(self, checkpoint_id: str | None) -> SignalPoll:
        return await self._service.poll_signals(self._instance_id, self._current_epoch(), checkpoint_id)

    async def acknowledge_signal(self, signal: Signal) -> None:
        await self._service.acknowledge_signal(
            self._instance_id, self._current_epoch(), signal.signal_type, signal.signal_id or None
        )

    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int
    ) -> SleepOutcome:
        return await self._service.record_retry_attempt(
            self._instance_id, self._current_epoch(), checkpoint_id, attempt, suspend_above_ms=None
        )

    async def wait_signal(self, checkpoint_id: str, timeout_ms: int | None, *, suspend_above_ms: int) -> SignalWait:
        return await self._service.wait_signal(
            self._instance_id, self._current_epoch(), checkpoint_id, timeout_ms=timeout_ms, suspend_above_ms=None
        )

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        return await self._service.get_instance_status(instance_id, self._tenant_id)

    def _current_epoch(self) -> int:
        if self._epoch is None:
            raise InvalidStateError("the instance is not registered: call register() first")
        return self._epoch
