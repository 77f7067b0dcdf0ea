"""The SDK of a durable program: `RuntaraSdk` advances one instance, from checkpoint to checkpoint.

    async with RuntaraSdk.from_env() as sdk:
        for order in orders:
            result = await sdk.checkpoint(f"order-{order.id}", state)
            ...
        await sdk.completed({"orders": len(orders)})

The block is the scope of the workflow. Entering connects and registers; what leaves it decides how the run ends:

* nothing: the result is what the block reported with `completed`, `failed` or `suspended`. A block that reported
  nothing leaves the instance running (a warning is logged): the next start of the program goes on with it.
* an interruption (`InstanceInterrupted`): a cancel or a pause is acknowledged, at most 5 s; a suspension and a
  supersession need nothing. The block ends quietly, as a cancel scope does; `sdk.interruption` tells which it was,
  and the program ends with exit code 0.
* an ordinary exception: it is reported with `failed` and goes on up, so the program ends with exit code 1. Two kinds
  are not reported, because the run has not failed: the store of the durable state could not be reached, and
  exceptions beyond `Exception` (`KeyboardInterrupt`, `SystemExit`, cancellation of the task). The instance stays
  running, and the next start goes on.

Nothing here is global: two SDK objects in one process do not know of each other. `current_sdk()` is the innermost block
of the current task.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet, WeakValueDictionary

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.background import BackgroundCalls
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.durable_waits import DurableWaits, duration_ms
from runtara_sdk.errors import (
    ConfigurationError,
    DeadlineExceededError,
    InstanceCancelled,
    InstanceInterrupted,
    InstancePaused,
    InstanceSuperseded,
    InvalidInputError,
    RuntaraError,
    StaleEpochError,
    StorageError,
    TransportError,
)
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import (
    CallProgress,
    CheckpointResult,
    EventType,
    InstanceEvent,
    RetryAttempt,
    Signal,
    SignalType,
    StatusReport,
)
from runtara_sdk.outcome import describe_error, encode_json, find_interruption, was_caused_by

if TYPE_CHECKING:
    from runtara_sdk.retry import RetryPolicy

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

ACKNOWLEDGE_SECONDS = 5.0
_STORE_AWAY = (TransportError, DeadlineExceededError, StorageError)

_current: ContextVar[RuntaraSdk | None] = ContextVar("runtara_current_sdk", default=None)


def current_sdk() -> RuntaraSdk:
    """The SDK of the innermost `async with` block of this task; raises `ConfigurationError` outside of any."""
    sdk = _current.get()
    if sdk is None:
        raise ConfigurationError("no instance is running here: call from within `async with RuntaraSdk...`")
    return sdk


class RuntaraSdk:
    """Durable operations of one instance.

    Methods that ask the store raise the `RuntaraError` that it answered; `InstanceSuperseded` instead of
    `StaleEpochError`, so that nothing mistakes it for a failure. Sizes are bounded by the frame limit of 64 MiB.
    """

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
        self._store_failures: WeakSet[BaseException] = WeakSet()
        self._last_poll_ms: int | None = None
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._background = BackgroundCalls(
            self._watch,
            self._clock,
            poll=self.poll_signal_now,
            poll_interval_ms=settings.signal_poll_interval_ms,
            beat=self.heartbeat,
            beat_interval_ms=settings.heartbeat_interval_ms,
        )
        self._waits = DurableWaits(
            store=lambda: self._backend,
            ask=self._ask,
            watch=self._watch,
            clock=self._clock,
            threshold_ms=settings.sleep_threshold_ms,
            poll_interval_ms=settings.signal_poll_interval_ms,
            check_signals=self.check_signals,
            prepare_to_suspend=self._background.stop,
        )
        self._outer: RuntaraSdk | None = None

    @classmethod
    def from_env(cls) -> Self:
        """From the variables of the environment (README, "Variables of an instance"), as a launched program does."""
        return cls(InstanceSettings.from_environment())

    @classmethod
    def localhost(cls, instance_id: str, tenant_id: str) -> Self:
        """With the core daemon of this machine at its default port."""
        return cls(InstanceSettings.localhost(instance_id, tenant_id))

    @classmethod
    def embedded(cls, database_url: str, instance_id: str, tenant_id: str) -> Self:
        """Without a daemon, on a database (`sqlite:///run.db`, `postgres://...`); needs runtara-core installed."""
        return cls(InstanceSettings(instance_id, tenant_id, server_addr=database_url))

    @property
    def instance_id(self) -> str:
        """Id of the instance."""
        return self.settings.instance_id

    @property
    def tenant_id(self) -> str:
        """Owner of the instance."""
        return self.settings.tenant_id

    @property
    def is_connected(self) -> bool:
        """Whether `connect` has succeeded and `close` was not called; a lost connection is made again by itself."""
        return self._connected is not None

    @property
    def is_registered(self) -> bool:
        """Whether this process advances the instance."""
        return self._registered

    # Life of the connection

    async def connect(self) -> None:
        """Reach the store. Calling again does nothing."""
        if self._connected is None:
            backend = self._given_backend or await _open_backend(self.settings)
            await backend.connect()
            self._connected = backend

    async def register(self, checkpoint_id: str | None = None) -> None:
        """Become the process that advances the instance, and start heartbeats and the poller for signals.

        Raises `InvalidStateError` when the instance has ended, `ConcurrencyLimitError` when core is full.
        """
        await self._ask(self._backend.register(checkpoint_id or self.settings.checkpoint_id))
        self._registered = True
        self._background.start()

    async def close(self) -> None:
        """Stop the background tasks and release the connection. The state of the instance stays as it is."""
        await self._background.stop()
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
                await self.obey(interruption)
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

    async def obey(self, interruption: InstanceInterrupted) -> None:
        """Tell the store that the program winds down: acknowledges a cancel or a pause, within 5 s.

        Done by the end of the `async with` block; for programs without one, the last call before `close`.
        """
        self.interruption = interruption
        await self._background.stop()
        if isinstance(interruption, InstanceCancelled):
            await self._acknowledge_at_exit(SignalType.CANCEL)
        elif isinstance(interruption, InstancePaused):
            await self._acknowledge_at_exit(SignalType.PAUSE)

    # Durable state

    async def checkpoint(self, checkpoint_id: str, state: bytes = b"") -> CheckpointResult:
        """Store `state` under `checkpoint_id` unless an earlier run did: then its state is returned instead.

        The answer says whether a cancel or a pause is pending; nothing is raised for it.
        """
        result = await self._ask(self._backend.checkpoint(checkpoint_id, state))
        self._watch.observe(result.pending_signal)
        return result

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        """The stored state, or None; never writes."""
        return await self._ask(self._backend.get_checkpoint(checkpoint_id))

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        """The stored state or, without one, the retry attempt that comes next; never writes."""
        return await self._ask(self._backend.get_progress(checkpoint_id))

    def turn_of_call(self, checkpoint_id: str) -> asyncio.Lock:
        """Held by the durable call that is under way for a checkpoint id, so that a second one finds its record."""
        lock = self._turns.get(checkpoint_id)
        if lock is None:
            lock = self._turns[checkpoint_id] = asyncio.Lock()
        return lock

    async def step(
        self,
        name: str,
        function: Callable[[], Awaitable[Any]],
        *,
        retry: RetryPolicy | None = None,
        codec: Any = None,
    ) -> Any:
        """The result of `function()`, recorded under `name`: a later run returns the record and calls nothing.

        One attempt unless `retry` allows more. `codec` is that of `@durable`; without one the result must be JSON. See
        `runtara_sdk.durability` for what this guarantees.
        """
        from runtara_sdk.durability import record_step

        return await record_step(self, name, function, retry=retry, codec=codec)

    async def durable_sleep(self, duration: timedelta | float, checkpoint_id: str, state: bytes = b"") -> None:
        """Sleep until `duration` (a timedelta, or seconds) after the *first* time this checkpoint id slept.

        With more left than the threshold the instance is suspended and `InstanceSuspended` raised, where somebody
        starts the program again at the deadline; else this waits here, and a cancel or a pause ends the wait by
        raising.
        A sleep that has ended, in this run or an earlier one, returns at once.
        """
        wait_ms = duration_ms(duration, f"sleep {checkpoint_id!r}")
        await self._waits.sleep(wait_ms, checkpoint_id, state)

    async def sleep_until(self, wake_at: datetime | int, checkpoint_id: str, state: bytes = b"") -> None:
        """As `durable_sleep`, until a time: an aware datetime, or milliseconds since the Unix epoch."""
        if isinstance(wake_at, datetime):
            if wake_at.tzinfo is None:
                raise InvalidInputError(f"sleep {checkpoint_id!r}: {wake_at} has no time zone: add tzinfo")
            wake_at = round(wake_at.timestamp() * 1000)
        left_ms = max(wake_at - self._clock.now_ms(), 0)
        await self.durable_sleep(timedelta(milliseconds=left_ms), checkpoint_id, state)

    async def record_retry_attempt(self, checkpoint_id: str, attempt_number: int, error: str | None = None) -> None:
        """Record that attempt `attempt_number` (2, 3, ...) of the work behind `checkpoint_id` is about to run."""
        attempt = RetryAttempt(attempt_number, error, retries_used=attempt_number - 1)
        await self._ask(
            self._backend.record_retry_attempt(
                checkpoint_id, attempt, suspend_above_ms=self.settings.sleep_threshold_ms
            )
        )

    async def wait_before_attempt(self, checkpoint_id: str, attempt: RetryAttempt) -> None:
        """Record an attempt, and return when it may run; what was recorded first for its number decides.

        Waits as `durable_sleep` does: in process, or by suspending the instance.
        """
        await self._waits.before_attempt(checkpoint_id, attempt)

    # Events

    async def heartbeat(self) -> None:
        """Say that the program is alive; done in the background too."""
        await self._report(InstanceEvent(EventType.HEARTBEAT))

    async def completed(self, output: Any = None) -> None:
        """End the instance with its output: bytes are taken as JSON already, anything else is written as JSON."""
        await self._report_end(EventType.COMPLETED, encode_json(output, "the output of the instance"))

    async def failed(self, error: str | bytes | BaseException) -> None:
        """End the instance with an error: a text, the JSON of a structured error, or an exception."""
        if isinstance(error, BaseException):
            error = describe_error(error)
        await self._report_end(EventType.FAILED, error.encode(errors="replace") if isinstance(error, str) else error)

    async def suspended(self, checkpoint_id: str | None = None) -> None:
        """Leave the instance suspended until somebody resumes it; the program should end after it."""
        await self._report_end(EventType.SUSPENDED, b"", checkpoint_id)

    async def custom_event(
        self,
        subtype: str,
        payload: bytes = b"",
        *,
        checkpoint_id: str | None = None,
        event_key: str | None = None,
    ) -> None:
        """Append to the event log. With an `event_key` a replay of the program appends nothing new."""
        key = event_key or f"custom:{uuid.uuid4().hex}"
        await self._report(InstanceEvent(EventType.CUSTOM, payload, subtype, checkpoint_id, key))

    # Signals

    async def poll_signal(self) -> Signal | None:
        """The most urgent pending signal; asks the store at most once per poll interval."""
        now_ms = self._clock.now_ms()
        interval_ms = self.settings.signal_poll_interval_ms
        if self._last_poll_ms is not None and 0 <= now_ms - self._last_poll_ms < interval_ms:
            return self._watch.signal
        return await self.poll_signal_now()

    async def poll_signal_now(self) -> Signal | None:
        """The most urgent pending signal, asked now."""
        self._last_poll_ms = self._clock.now_ms()
        poll = await self._ask(self._backend.poll_signals(None))
        self._watch.observe(poll.signal)
        return poll.signal

    async def poll_custom_signal(self, checkpoint_id: str) -> bytes | None:
        """The payload of the custom signal sent to `checkpoint_id`, or None; reading does not consume it."""
        poll = await self._ask(self._backend.poll_signals(checkpoint_id))
        self._watch.observe(poll.signal)
        return poll.custom_signal.payload if poll.custom_signal is not None else None

    async def wait_for_signal(self, signal_id: str, timeout: timedelta | float | None = None) -> bytes:
        """The payload of the custom signal `signal_id`, once it has been sent; each run gets the same one.

        Args:
            signal_id: a checkpoint id of its own; the payload becomes its state.
            timeout: a timedelta, or seconds, from the *first* wait for this id; None waits without end.

        Raises `SignalTimeoutError` when the time is over, in this run and each later one. With more than the sleep
        threshold left the instance is suspended and `InstanceSuspended` raised, where somebody starts the program again
        when the signal or the deadline comes; else this polls here, and a cancel or a pause ends the wait by raising.
        """
        timeout_ms = None if timeout is None else duration_ms(timeout, f"wait for signal {signal_id!r}")
        return await self._waits.signal(signal_id, timeout_ms)

    async def acknowledge_signal(self, signal: Signal | SignalType) -> None:
        """Say that a signal was obeyed: a cancel ends the instance, a pause suspends it. Waits at most 5 s."""
        if isinstance(signal, SignalType):
            pending = self._watch.signal
            signal = pending if pending and pending.signal_type is signal else Signal(signal)
        try:
            async with asyncio.timeout(ACKNOWLEDGE_SECONDS):
                await self._ask(self._backend.acknowledge_signal(signal))
        except TimeoutError:
            raise DeadlineExceededError(
                f"the {signal.signal_type.value} signal was not acknowledged within {ACKNOWLEDGE_SECONDS:g} s"
            ) from None
        self._watch.obeyed(signal)

    async def check_signals(self) -> None:
        """Raise `InstanceCancelled` or `InstancePaused` when such a signal is pending.

        The signal is acknowledged when the exception leaves the block, after the program's own clean-up (which may
        still write checkpoints); a program that goes on instead meets the signal again.
        """
        await self._check(pause_too=True)

    def raise_if_interrupted(self) -> None:
        """As `check_signals`, for what is known already; asks nobody."""
        if (interruption := self._watch.interruption(pause_too=True)) is not None:
            raise interruption

    async def check_cancelled(self) -> None:
        """As `check_signals`, for cancel alone."""
        await self._check(pause_too=False)

    async def check_paused(self) -> None:
        """As `check_signals`, for pause alone."""
        signal = await self.poll_signal()
        if signal is not None and signal.signal_type is SignalType.PAUSE:
            raise InstancePaused("a pause signal reached the instance")

    async def run_interruptible(self, awaitable: Awaitable[Result]) -> Result:
        """The result of `awaitable`, cancelled as soon as the instance is cancelled or superseded.

        Raises `InstanceCancelled` or `InstanceSuperseded` then, about a second after the signal was sent. For calls to
        the outside and waits; a pause lets them finish.
        """
        return await self._watch.race(awaitable, pause_too=False)

    async def wait_interruptibly(self, wait_ms: int) -> None:
        """Wait in process, not durably; a cancel, a pause or a supersession ends the wait by raising."""
        await self._watch.race(self._clock.sleep(wait_ms / 1000), pause_too=True)

    # Status

    async def get_status(self) -> StatusReport:
        """Status of this instance."""
        return await self.get_instance_status(self.instance_id)

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        """Status of an instance of the same tenant."""
        return await self._ask(self._backend.get_instance_status(instance_id))

    # Inside

    @property
    def _backend(self) -> InstanceBackend:
        if self._connected is None:
            raise ConfigurationError("the SDK is not connected: use `async with sdk` or call connect() first")
        return self._connected

    async def _ask(self, call: Awaitable[Result]) -> Result:
        try:
            return await call
        except StaleEpochError as error:
            self._watch.supersede()
            raise InstanceSuperseded(error.message) from error
        except _STORE_AWAY as error:
            self._store_failures.add(error)
            raise

    async def _report(self, event: InstanceEvent) -> None:
        await self._ask(self._backend.report_event(event))

    async def _report_end(self, event_type: EventType, payload: bytes, checkpoint_id: str | None = None) -> None:
        await self._report(
            InstanceEvent(
                event_type,
                payload,
                checkpoint_id=checkpoint_id,
                event_key=f"{event_type.value}:{uuid.uuid4().hex}",
            )
        )
        self._result_reported = True
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

    async def _check(self, *, pause_too: bool) -> None:
        signal = await self.poll_signal()
        if signal is not None and signal.signal_type is SignalType.RESUME:
            await self.acknowledge_signal(signal)
        if (interruption := self._watch.interruption(pause_too=pause_too)) is not None:
            raise interruption


async def _open_backend(settings: InstanceSettings) -> InstanceBackend:
    if not settings.is_embedded:
        from runtara_sdk.quic_backend import QuicBackend

        return QuicBackend(settings)
    from runtara_sdk.plugins import load_one

    connect = load_one("runtara.backends", "embedded", package="runtara-core", needed_by="the embedded mode")
    backend: InstanceBackend = await connect(settings.server_addr, settings.instance_id, settings.tenant_id)
    return backend
