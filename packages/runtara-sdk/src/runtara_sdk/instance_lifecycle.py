"""The life of an instance inside its program: connecting, registering, reporting how it ends.

The `async with` block is the scope of the workflow. Entering connects and registers; what leaves it decides how the run
ends:

* nothing: the result is what the block reported with `completed`, `failed` or `suspended`. A block that reported
  nothing leaves the instance running (a warning is logged): the next start of the program goes on with it.
* an interruption (`InstanceInterrupted`): a cancel, a pause or a shutdown is acknowledged, at most 5 s; a suspension
  and a supersession need nothing. The block ends quietly, as a cancel scope does; `interruption` tells which it was,
  and the program ends with exit code 0.
* an ordinary exception: it is reported with `failed` and goes on up, so the program ends with exit code 1. Two kinds
  are not reported, because the run has not failed: the store of the durable state could not be reached, and
  exceptions beyond `Exception` (`KeyboardInterrupt`, `SystemExit`, cancellation of the task). The instance stays
  running, and the next start goes on.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable
from contextlib import nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TypeVar
from weakref import WeakSet

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.background import BackgroundCalls
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.errors import (
    ConfigurationError,
    DeadlineExceededError,
    InstanceCancelled,
    InstanceInterrupted,
    InstancePaused,
    InstanceShutdown,
    InstanceSuperseded,
    InstanceSuspended,
    InvalidStateError,
    RuntaraError,
    StaleEpochError,
    StorageError,
    TransportError,
)
from runtara_sdk.identifiers import refuse_empty
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, Registration, Signal, SignalType
from runtara_sdk.outcome import describe_error, encode_json, find_interruption, was_caused_by
from runtara_sdk.signal_polls import SignalPolls

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ACKNOWLEDGE_SECONDS = 5.0
_STORE_AWAY = (TransportError, DeadlineExceededError, StorageError)

_current: ContextVar[InstanceLifecycle | None] = ContextVar("runtara_current_sdk", default=None)


def current_instance() -> InstanceLifecycle:
    """What the innermost `async with` block of this task entered; raises `ConfigurationError` outside of any."""
    instance = _current.get()
    if instance is None:
        raise ConfigurationError("no instance is running here: call from within `async with RuntaraSdk...`")
    return instance


class InstanceLifecycle:
    """The part of `RuntaraSdk` that begins and ends a run."""

    def __init__(
        self,
        settings: InstanceSettings,
        *,
        backend: InstanceBackend | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.settings = settings
        self.interruption: InstanceInterrupted | None = None
        self._given_backend = backend
        self._connected: InstanceBackend | None = None
        self._clock = clock or SystemClock()
        self._watch = InterruptionWatch()
        self._registered = False
        self._result_reported = False
        self._left_suspended = False
        self._store_failures: WeakSet[BaseException] = WeakSet()
        self._polls = SignalPolls(
            store=lambda: self._backend,
            ask=self._ask,
            watch=self._watch,
            clock=self._clock,
            interval_ms=settings.signal_poll_interval_ms,
        )
        self._background = BackgroundCalls(
            self._watch,
            self._clock,
            polls=self._polls,
            beat=self.heartbeat,
            beat_interval_ms=settings.heartbeat_interval_ms,
        )
        self._outer: InstanceLifecycle | None = None

    @property
    def instance_id(self) -> str:
        """Id of the instance.

        Example::

            logger.info("working on %s", sdk.instance_id)
        """
        return self.settings.instance_id

    @property
    def tenant_id(self) -> str:
        """Owner of the instance.

        Example::

            database = databases[sdk.tenant_id]
        """
        return self.settings.tenant_id

    @property
    def is_connected(self) -> bool:
        """Whether `connect` has succeeded and `close` was not called; a lost connection is made again by itself.

        Example::

            assert sdk.is_connected
        """
        return self._connected is not None

    @property
    def is_registered(self) -> bool:
        """Whether this process advances the instance.

        Example::

            assert sdk.is_registered
        """
        return self._registered

    # Life of the connection

    async def connect(self) -> None:
        """Reach the store. Calling again does nothing.

        Example::

            sdk = RuntaraSdk.embedded("sqlite:///run.db", "order-1", "acme")
            await sdk.connect()
            print(await sdk.get_status())
            await sdk.close()
        """
        if self._connected is None:
            backend = self._given_backend or await _open_backend(self.settings)
            await backend.connect()
            self._connected = backend

    async def register(self, checkpoint_id: str | None = None) -> None:
        """Become the process that advances the instance; from now on it hears of signals, and sends heartbeats.

        Raises `InvalidStateError` when the instance has ended, `ConcurrencyLimitError` when core is full.

        Example::

            await sdk.connect()
            await sdk.register()
        """
        known = refuse_empty("checkpoint_id", checkpoint_id) or self.settings.checkpoint_id
        self._begin(await self._ask(self._backend.register(known)))
        self._registered = True
        self._background.start()

    async def close(self) -> None:
        """Stop the background tasks and release the connection. The state of the instance stays as it is.

        Example::

            try:
                ...
            finally:
                await sdk.close()
        """
        await self._background.stop()
        self._end()
        if self._connected is not None:
            backend, self._connected = self._connected, None
            await backend.close()

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
            await self.register()
        except BaseException:
            await self.close()
            raise
        self._outer = _current.get()
        _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        _current.set(self._outer)
        try:
            if (interruption := find_interruption(error)) is not None:
                await self._obey(interruption)
                return True
            if isinstance(error, Exception):
                await self._report_failure(error)
            elif error is None and not self._result_reported:
                logger.warning(
                    "instance %s left its block without completed(), failed() or suspended(): it stays running",
                    self.instance_id,
                )
        finally:
            await self.close()
        return False

    # Events

    async def heartbeat(self) -> None:
        """Say that the program is alive; done in the background too.

        Example::

            await sdk.heartbeat()
        """
        await self._report(InstanceEvent(EventType.HEARTBEAT))

    async def completed(self, output: Any = None) -> None:
        """End the instance with its output: bytes are taken as JSON already, anything else is written as JSON.

        Example::

            await sdk.completed({"processed": 3})
        """
        await self._report_end(EventType.COMPLETED, encode_json(output, "the output of the instance"))

    async def failed(self, error: str | bytes | BaseException) -> None:
        """End the instance with an error: a text, the JSON of a structured error, or an exception.

        Example::

            await sdk.failed("the order has no lines")
        """
        if isinstance(error, BaseException):
            error = describe_error(error)
        await self._report_end(EventType.FAILED, error.encode(errors="replace") if isinstance(error, str) else error)

    async def suspended(self, checkpoint_id: str | None = None) -> None:
        """Leave the instance suspended until somebody resumes it; the program should end after it.

        With a `checkpoint_id` that checkpoint is stored in the same transaction, without a state: the launch after it
        finds it, and knows that it has been here.

        Example::

            if await sdk.get_checkpoint("handed-over") is None:
                await sdk.suspended("handed-over")
        """
        await self._report_end(EventType.SUSPENDED, b"", refuse_empty("checkpoint_id", checkpoint_id))

    async def custom_event(
        self,
        subtype: str,
        payload: bytes = b"",
        *,
        checkpoint_id: str | None = None,
        event_key: str | None = None,
    ) -> None:
        """Append to the event log. With an `event_key` a replay of the program appends nothing new.

        Example::

            await sdk.custom_event("order_packed", b'{"parcels": 2}', event_key="packed")
        """
        key = refuse_empty("event_key", event_key) or f"custom:{uuid.uuid4().hex}"
        checkpoint_id = refuse_empty("checkpoint_id", checkpoint_id)
        await self._report(InstanceEvent(EventType.CUSTOM, payload, subtype, checkpoint_id, key))

    async def acknowledge_signal(self, signal: Signal | SignalType) -> None:
        """Say that a signal was obeyed, within 5 s: a cancel ends the instance, a pause or a shutdown suspends it.

        Example::

            signal = await sdk.poll_signal()
            if signal is not None and signal.signal_type is SignalType.CANCEL:
                await release(stock)
                await sdk.acknowledge_signal(signal)
        """
        if isinstance(signal, SignalType):
            pending = self._watch.signal
            signal = pending if pending and pending.signal_type is signal else Signal(signal)
        try:
            with self._watch.ending() if signal.signal_type is not SignalType.RESUME else nullcontext():
                async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                    await self._ask(self._backend.acknowledge_signal(signal))
        except TimeoutError:
            raise DeadlineExceededError(
                f"the {signal.signal_type.value} signal was not acknowledged within {ACKNOWLEDGE_SECONDS:g} s"
            ) from None
        self._watch.obeyed(signal)

    # Inside

    @property
    def _backend(self) -> InstanceBackend:
        if self._connected is None:
            raise ConfigurationError("the SDK is not connected: use `async with sdk` or call connect() first")
        return self._connected

    def _begin(self, registration: Registration) -> None:
        """Hear what the registration says, before anything is recorded."""

    def _end(self) -> None:
        """Hear that the connection is about to be closed."""

    async def _obey(self, interruption: InstanceInterrupted) -> None:
        """Tell the store that the program winds down: acknowledges a cancel, a pause or a shutdown, within 5 s."""
        self.interruption = interruption
        await self._background.stop()
        if isinstance(interruption, InstanceCancelled):
            await self._acknowledge_at_exit(SignalType.CANCEL)
        elif isinstance(interruption, InstancePaused):
            await self._acknowledge_at_exit(SignalType.PAUSE)
        elif isinstance(interruption, InstanceShutdown):
            await self._acknowledge_at_exit(SignalType.SHUTDOWN)

    async def _ask(self, call: Awaitable[Result]) -> Result:
        try:
            return await call
        except StaleEpochError as error:
            self._watch.supersede()
            raise InstanceSuperseded(error.message) from error
        except InvalidStateError as error:
            if (interruption := await self._stopped_meanwhile(error)) is not None:
                raise interruption from error
            raise
        except _STORE_AWAY as error:
            self._store_failures.add(error)
            raise

    async def _stopped_meanwhile(self, refusal: InvalidStateError) -> InstanceInterrupted | None:
        """The interruption behind a refusal: what one part of a program suspended, its other parts hear of here."""
        if not self._registered or (self._result_reported and not self._left_suspended):
            return None
        status = (await self._backend.get_instance_status(self.settings.instance_id)).status
        if status is InstanceStatus.SUSPENDED:
            return InstanceSuspended(refusal.message)
        if status is not None and status.is_terminal:
            self._watch.end(refusal.message)
            return InstanceSuperseded(refusal.message) if self._watch.is_superseded else None
        return None

    async def _report(self, event: InstanceEvent) -> None:
        await self._ask(self._backend.report_event(event))

    async def _report_end(self, event_type: EventType, payload: bytes, checkpoint_id: str | None = None) -> None:
        event_key = f"{event_type.value}:{uuid.uuid4().hex}"
        with self._watch.ending():
            await self._report(InstanceEvent(event_type, payload, checkpoint_id=checkpoint_id, event_key=event_key))
        self._result_reported = True
        self._left_suspended = event_type is EventType.SUSPENDED
        await self._background.stop()

    async def _report_failure(self, error: Exception) -> None:
        if self._result_reported or was_caused_by(error, self._store_failures):
            return
        try:
            await self.failed(error)
        except (RuntaraError, InstanceInterrupted) as refusal:
            logger.warning("instance %s: its failure could not be reported: %s", self.instance_id, refusal)

    async def _acknowledge_at_exit(self, signal_type: SignalType) -> None:
        try:
            await self.acknowledge_signal(signal_type)
        except (RuntaraError, InstanceInterrupted) as refusal:
            logger.warning("instance %s: %s was not acknowledged: %s", self.instance_id, signal_type, refusal)


async def _open_backend(settings: InstanceSettings) -> InstanceBackend:
    if not settings.is_embedded:
        from runtara_sdk.core_backend import CoreBackend

        return CoreBackend(settings)
    from runtara_sdk.plugins import load_one

    connect = load_one("runtara.backends", "embedded", package="runtara-core", needed_by="the embedded mode")
    backend: InstanceBackend = await connect(settings.server_addr, settings.instance_id, settings.tenant_id)
    return backend
