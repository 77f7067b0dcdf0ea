"""The SDK of a durable program: `RuntaraSdk` advances one instance, from checkpoint to checkpoint.

    async with RuntaraSdk.from_env() as sdk:
        for order in orders:
            result = await sdk.checkpoint(f"order-{order.id}", state)
            ...
        await sdk.completed({"orders": len(orders)})

The block is the scope of the workflow; `runtara_sdk.instance_lifecycle` tells how it begins and ends.

Nothing here is global: two SDK objects in one process do not know of each other. `current_sdk()` is the innermost block
of the current task.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.durable_waits import DurableWaits, duration_ms
from runtara_sdk.errors import InstancePaused, InvalidInputError
from runtara_sdk.instance_calls import InstanceCalls
from runtara_sdk.instance_lifecycle import InstanceLifecycle, current_instance
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import (
    CheckpointResult,
    Registration,
    RetryAttempt,
    Signal,
    SignalType,
    StatusReport,
)
from runtara_sdk.under_way import OperationsUnderWay

if TYPE_CHECKING:
    from runtara_sdk.retry import RetryPolicy

Result = TypeVar("Result")


def current_sdk() -> RuntaraSdk:
    """The SDK of the innermost `async with` block of this task; raises `ConfigurationError` outside of any."""
    return cast("RuntaraSdk", current_instance())


class RuntaraSdk(InstanceLifecycle):
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
        super().__init__(settings, backend=backend, clock=clock)
        self._last_poll_ms: int | None = None
        under_way = OperationsUnderWay()
        self._waits = DurableWaits(
            store=lambda: self._backend,
            ask=self._ask,
            watch=self._watch,
            under_way=under_way,
            clock=self._clock,
            polls=self._polls,
            threshold_ms=settings.sleep_threshold_ms,
            check_signals=self.check_signals,
            prepare_to_suspend=self._background.stop,
            about_to_record=lambda checkpoint_id: self._calls.about_to_record(checkpoint_id),
        )
        self._calls = InstanceCalls(
            settings,
            store=lambda: self._backend,
            ask=self._ask,
            watch=self._watch,
            waits=self._waits,
            under_way=under_way,
            clock=self._clock,
        )

    @classmethod
    def from_env(cls) -> Self:
        """From the variables of the environment (README, "Variables of an instance"), as a launched program does.

        Example::

            async with RuntaraSdk.from_env() as sdk:
                await sdk.completed({"done": True})
        """
        return cls(InstanceSettings.from_environment())

    @classmethod
    def localhost(cls, instance_id: str, tenant_id: str) -> Self:
        """With the core daemon of this machine at its default port.

        Example::

            async with RuntaraSdk.localhost("order-1", "acme") as sdk:
                ...
        """
        return cls(InstanceSettings.localhost(instance_id, tenant_id))

    @classmethod
    def embedded(cls, database_url: str, instance_id: str, tenant_id: str) -> Self:
        """Without a daemon, on a database (`sqlite:///run.db`, `postgres://...`); needs runtara-core installed.

        Example::

            async with RuntaraSdk.embedded("sqlite:///run.db", "order-1", "acme") as sdk:
                ...
        """
        return cls(InstanceSettings(instance_id, tenant_id, server_addr=database_url))

    # Durable state

    async def checkpoint(self, checkpoint_id: str, state: bytes = b"") -> CheckpointResult:
        """Store `state` under `checkpoint_id` unless something is stored there: then that is returned instead.

        "Found" is what an earlier call stored; a call that is made again because its answer was lost hears what it
        would have heard first. So a program that skips what is "found" does no work twice. Work that dies half-way is
        not done again either, as its checkpoint was there before: to have it done again, record results after the work,
        as `step` and `@durable` do. The answer says whether a cancel, a pause or a shutdown is pending; nothing is
        raised for it.

        Example::

            paid = await sdk.checkpoint("paid", receipt)
            if paid.found:
                receipt = paid.state
        """
        return await self._calls.checkpoint(checkpoint_id, state)

    async def checkpoints(self, checkpoints: Sequence[tuple[str, bytes]]) -> list[CheckpointResult]:
        """As `checkpoint` for each `(checkpoint_id, state)`, in one request and one transaction.

        All are answered, or all are refused and nothing is stored: `InvalidInputError` names the place of the one that
        cannot be stored. Each is answered as it would be alone. One that is there is found, the others are stored, and
        of two with one id the second finds the state of the first. At most 256 checkpoints and 64 MiB in one call.

        Example::

            results = await sdk.checkpoints([(f"order-{order.id}", order.receipt) for order in orders])
            for order, result in zip(orders, results, strict=True):
                order.receipt = result.state if result.found else order.receipt
        """
        return await self._calls.checkpoints(checkpoints)

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        """The stored state, or None; never writes.

        Example::

            if await sdk.get_checkpoint("paid") is None:
                await sdk.checkpoint("paid", await pay(order))
        """
        return await self._ask(self._backend.get_checkpoint(checkpoint_id))

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

        Example::

            invoice = await sdk.step("invoice", lambda: create_invoice(order), retry=RetryPolicy(max_retries=3))
        """
        from runtara_sdk.recorded_work import record_step  # workflows and many programs have no such steps

        return await record_step(self._calls, name, function, retry=retry, codec=codec)

    async def durable_sleep(self, duration: timedelta | float, checkpoint_id: str, state: bytes = b"") -> None:
        """Sleep until `duration` (a timedelta, or seconds) after the *first* time this checkpoint id slept.

        With more left than the threshold the instance is suspended and `InstanceSuspended` raised, where somebody
        starts the program again at the deadline; else this waits here, and a cancel, a pause or a shutdown ends the
        wait by raising.
        A sleep that has ended, in this run or an earlier one, returns at once.

        Example::

            await sdk.durable_sleep(timedelta(days=3), "grace-period")
        """
        wait_ms = duration_ms(duration, f"sleep {checkpoint_id!r}")
        await self._waits.sleep(wait_ms, checkpoint_id, state)

    async def sleep_until(self, wake_at: datetime | int, checkpoint_id: str, state: bytes = b"") -> None:
        """As `durable_sleep`, until a time: an aware datetime, or milliseconds since the Unix epoch.

        Example::

            await sdk.sleep_until(datetime(2027, 1, 1, tzinfo=UTC), "new-year")
        """
        if isinstance(wake_at, datetime):
            if wake_at.tzinfo is None:
                raise InvalidInputError(f"sleep {checkpoint_id!r}: {wake_at} has no time zone: add tzinfo")
            wake_at = round(wake_at.timestamp() * 1000)
        left_ms = max(wake_at - self._clock.now_ms(), 0)
        await self.durable_sleep(timedelta(milliseconds=left_ms), checkpoint_id, state)

    async def record_retry_attempt(self, checkpoint_id: str, attempt_number: int, error: str | None = None) -> None:
        """Record that attempt `attempt_number` (2, 3, ...) of the work behind `checkpoint_id` is about to run.

        Example::

            await sdk.record_retry_attempt("paid", 2, error="the bank did not answer")
        """
        self._calls.about_to_record(checkpoint_id)
        attempt = RetryAttempt(attempt_number, error, retries_used=attempt_number - 1)
        await self._ask(
            self._backend.record_retry_attempt(
                checkpoint_id, attempt, suspend_above_ms=self.settings.sleep_threshold_ms
            )
        )

    # Signals

    async def poll_signal(self) -> Signal | None:
        """The most urgent pending signal; asks the store at most once per poll interval.

        Example::

            signal = await sdk.poll_signal()
            if signal is not None and signal.signal_type is SignalType.PAUSE:
                ...
        """
        now_ms = self._clock.now_ms()
        interval_ms = self.settings.signal_poll_interval_ms
        if self._last_poll_ms is not None and 0 <= now_ms - self._last_poll_ms < interval_ms:
            return self._watch.signal
        return await self.poll_signal_now()

    async def poll_signal_now(self) -> Signal | None:
        """The most urgent pending signal, asked now.

        Example::

            signal = await sdk.poll_signal_now()
        """
        self._last_poll_ms = self._clock.now_ms()
        poll = await self._ask(self._backend.poll_signals(None))
        self._watch.observe(poll.signal)
        return poll.signal

    async def poll_custom_signal(self, checkpoint_id: str) -> bytes | None:
        """The payload of the custom signal sent to `checkpoint_id`, or None; reading does not consume it.

        Example::

            payload = await sdk.poll_custom_signal("approval")
        """
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
        when the signal or the deadline comes; else this waits here, and a cancel, a pause or a shutdown ends the wait
        by raising.

        Example::

            answer = json.loads(await sdk.wait_for_signal("approval", timeout=timedelta(days=2)))
        """
        timeout_ms = None if timeout is None else duration_ms(timeout, f"wait for signal {signal_id!r}")
        return await self._waits.signal(signal_id, timeout_ms)

    async def check_signals(self) -> None:
        """Raise `InstanceCancelled`, `InstancePaused` or `InstanceShutdown` when such a signal is pending.

        The signal is acknowledged when the exception leaves the block, after the program's own clean-up (which may
        still write checkpoints); a program that goes on instead meets the signal again.

        Example::

            for page in pages:
                await sdk.check_signals()
                convert(page)
        """
        await self._check(suspension_too=True)

    async def check_cancelled(self) -> None:
        """As `check_signals`, for cancel alone.

        Example::

            await sdk.check_cancelled()
        """
        await self._check(suspension_too=False)

    async def check_paused(self) -> None:
        """As `check_signals`, for pause alone.

        Example::

            await sdk.check_paused()
        """
        signal = await self.poll_signal()
        if signal is not None and signal.signal_type is SignalType.PAUSE:
            raise InstancePaused("a pause signal reached the instance")

    async def run_interruptible(self, awaitable: Awaitable[Result]) -> Result:
        """The result of `awaitable`, cancelled as soon as the instance is cancelled or superseded.

        Raises `InstanceCancelled` or `InstanceSuperseded` then. For calls to the outside and waits; a pause and a
        shutdown let them finish.

        Example::

            answer = await sdk.run_interruptible(client.get(url))
        """
        return await self._calls.run_interruptible(awaitable)

    # Status

    async def get_status(self) -> StatusReport:
        """Status of this instance.

        Example::

            status = await sdk.get_status()
            print(status.status, status.output)
        """
        return await self.get_instance_status(self.instance_id)

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        """Status of an instance of the same tenant.

        Example::

            child = await sdk.get_instance_status("order-1-invoice")
        """
        return await self._ask(self._backend.get_instance_status(instance_id))

    # Inside

    def _begin(self, registration: Registration) -> None:
        self._calls.begin(registration)

    def _end(self) -> None:
        self._calls.end()

    async def _check(self, *, suspension_too: bool) -> None:
        signal = await self.poll_signal()
        if signal is not None and signal.signal_type is SignalType.RESUME:
            await self.acknowledge_signal(signal)
        if (interruption := self._watch.interruption(suspension_too=suspension_too)) is not None:
            raise interruption
