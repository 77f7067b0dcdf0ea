"""The instance API without a daemon: the same service, on a database opened by the program itself.

Contributed to the SDK through the entry-point group `runtara.backends`. Nobody starts the program again after it exits,
so it waits out its sleeps in process; deadlines, checkpoints and signals are those of the daemons. So is the patience
with a database that is away or held by another process: every call is idempotent and is made again for two minutes.
The concurrency limit is the daemon's: it counts instances whose programs were killed, too.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import InvalidStateError, StorageError
from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    InstanceEvent,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalWait,
    SleepOutcome,
    StatusReport,
    WaitsBeside,
)
from runtara_sdk.settings import EnvironmentReader

from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.models import CoreLimits
from runtara_core.retention import keep_removing_finished
from runtara_core.retention_settings import RetentionSettings
from runtara_core.signal_watch import SignalWatch
from runtara_core.storage import Storage
from runtara_core.storages import open_storage

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 120.0
"""How long a call goes on trying while the database is away."""

_REMOVED_AT_ONCE = 10
_REMOVAL_PAUSE_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
_Verb = Callable[Concatenate["EmbeddedBackend", Arguments], Coroutine[Any, Any, Answer]]


def _patient(verb: _Verb[Arguments, Answer]) -> _Verb[Arguments, Answer]:
    """A verb that is tried again while the database fails in a way that may pass."""

    @functools.wraps(verb)
    async def persist(self: EmbeddedBackend, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        give_up_at = time.monotonic() + self.patience_seconds
        pause = _FIRST_PAUSE_SECONDS
        complained = False
        while True:
            try:
                return await verb(self, *args, **kwargs)
            except StorageError as error:
                wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads callers, keeps no secret
                if not error.retryable or time.monotonic() + wait > give_up_at:
                    raise
                if not complained:
                    logger.warning("%s; trying again", error.message)
                    complained = True
            await asyncio.sleep(wait)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    return persist


async def connect_embedded(database_url: str, instance_id: str, tenant_id: str) -> InstanceBackend:
    """A backend on the database of `database_url`; opened by its `connect`.

    Raises `ConfigurationError` when a variable of retention (RUNTARA_DB_CLEANUP_*) is wrong.
    """
    retention = RetentionSettings.from_environment(EnvironmentReader())
    return EmbeddedBackend(await open_storage(database_url), instance_id, tenant_id, retention=retention)


class EmbeddedBackend(InstanceBackend):
    """Durable operations of one instance on a storage in this process.

    Nobody else removes what finished long ago in its database. So it does, as `retention` says (None: never), beside
    the program: in small batches, with pauses, and until `close`; the next program goes on.
    """

    def __init__(
        self,
        storage: Storage,
        instance_id: str,
        tenant_id: str,
        *,
        clock: Clock | None = None,
        limits: CoreLimits | None = None,
        watch: SignalWatch | None = None,
        retention: RetentionSettings | None = None,
    ) -> None:
        self._storage = storage
        self._clock = clock or SystemClock()
        self._retention = retention
        self._removing: asyncio.Task[None] | None = None
        self._service = InstanceService(storage, self._clock, limits or CoreLimits(sys.maxsize), DueBell(), watch)
        self._instance_id = instance_id
        self._tenant_id = tenant_id
        self._epoch: int | None = None
        self._open = False
        self.patience_seconds = PATIENCE_SECONDS

    @property
    def can_suspend(self) -> bool:
        return False

    async def connect(self) -> None:
        if not self._open:
            await self._storage.open()
            self._open = True
            if self._retention is not None and self._retention.enabled:
                settings = replace(self._retention, batch_size=min(self._retention.batch_size, _REMOVED_AT_ONCE))
                self._removing = asyncio.create_task(
                    keep_removing_finished(self._storage, self._clock, settings, pause_seconds=_REMOVAL_PAUSE_SECONDS),
                    name="remove finished instances",
                )

    async def close(self) -> None:
        if self._open:
            self._open = False
            if self._removing is not None:
                self._removing.cancel()
                await asyncio.gather(self._removing, return_exceptions=True)
                self._removing = None
            await self._service.close()
            await self._storage.close()

    async def register(self, checkpoint_id: str | None) -> Registration:
        return await self._register(checkpoint_id, uuid.uuid4().hex)

    @_patient
    async def _register(self, checkpoint_id: str | None, registration_key: str) -> Registration:
        registration = await self._service.register(
            self._instance_id,
            self._tenant_id,
            epoch=None,
            checkpoint_id=checkpoint_id,
            registration_key=registration_key,
        )
        self._epoch = registration.epoch
        return registration

    @_patient
    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        epoch = self._current_epoch()
        return await self._service.checkpoint(self._instance_id, epoch, checkpoint_id, state, call_key)

    @_patient
    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        return await self._service.checkpoints(self._instance_id, self._current_epoch(), new)

    @_patient
    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        return await self._service.get_checkpoint(self._instance_id, checkpoint_id)

    @_patient
    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        return await self._service.get_progress(self._instance_id, checkpoint_id, self._current_epoch())

    @_patient
    async def sleep(
        self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        return await self._service.sleep(
            self._instance_id,
            self._current_epoch(),
            checkpoint_id,
            state,
            duration_ms=duration_ms,
            suspend_above_ms=None,
        )

    @_patient
    async def report_event(self, event: InstanceEvent) -> None:
        await self._service.report_event(self._instance_id, self._current_epoch(), event)

    @_patient
    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        return await self._service.poll_signals(
            self._instance_id,
            self._current_epoch(),
            checkpoint_id,
            wait_ms=wait_ms,
            known_signal_id=known_signal_id,
        )

    @_patient
    async def acknowledge_signal(self, signal: Signal) -> None:
        await self._service.acknowledge_signal(
            self._instance_id, self._current_epoch(), signal.signal_type, signal.signal_id or None
        )

    @_patient
    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        return await self._service.record_retry_attempt(
            self._instance_id, self._current_epoch(), checkpoint_id, attempt, suspend_above_ms=None
        )

    @_patient
    async def wait_signal(
        self,
        checkpoint_id: str,
        timeout_ms: int | None,
        *,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        return await self._service.wait_signal(
            self._instance_id, self._current_epoch(), checkpoint_id, timeout_ms=timeout_ms, suspend_above_ms=None
        )

    @_patient
    async def get_instance_status(self, instance_id: str) -> StatusReport:
        return await self._service.get_instance_status(instance_id, self._tenant_id)

    def _current_epoch(self) -> int:
        if self._epoch is None:
            raise InvalidStateError("the instance is not registered: call register() first")
        return self._epoch
