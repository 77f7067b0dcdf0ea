"""Waits that outlive the process: for a time, for the next attempt of a call, for a custom signal.

All three ask the store, which fixes the deadline once and says what to do: go on, wait here for what is left, or exit,
because the instance is suspended and somebody starts the program again. What waits here ends early by an interruption.
A wait beside other durable work does not suspend: see `runtara_sdk.under_way`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NoReturn

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceSuspended, InvalidInputError, SignalTimeoutError
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import RetryAttempt, SignalWaitState, SleepState
from runtara_sdk.signal_polls import SignalPolls, StoreCall
from runtara_sdk.under_way import Operation, OperationsUnderWay

LONGEST_WAIT_MS = 60_000
"""Then the deadline is asked for again, as clocks jump and machines sleep."""

SETTLING_MS = 500
"""Of several waits the one that may suspend asks again after so long, as the store may know of the others by then."""


class DurableWaits:
    """The waits of one instance.

    Args:
        store: gives the connected backend.
        ask: awaits a call of it.
        watch: ends waits early.
        under_way: tells whether a wait is alone.
        clock: source of the waits.
        polls: hear of custom signals.
        threshold_ms: a wait with more than this left ends the process where it can, milliseconds.
        check_signals: raises when a cancel, a pause or a shutdown is pending.
        about_to_record: hears of each checkpoint id before something is recorded under it.
        prepare_to_suspend: called before `InstanceSuspended` is raised.
    """

    def __init__(
        self,
        *,
        store: Callable[[], InstanceBackend],
        ask: StoreCall,
        watch: InterruptionWatch,
        under_way: OperationsUnderWay,
        clock: Clock,
        polls: SignalPolls,
        threshold_ms: int,
        check_signals: Callable[[], Awaitable[None]],
        about_to_record: Callable[[str], None],
        prepare_to_suspend: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._ask = ask
        self._watch = watch
        self._under_way = under_way
        self._clock = clock
        self._threshold_ms = threshold_ms
        self._polls = polls
        self._check_signals = check_signals
        self._prepare_to_suspend = prepare_to_suspend
        self._about_to_record = about_to_record

    async def sleep(self, duration_ms: int, checkpoint_id: str, state: bytes) -> None:
        """Return once `duration_ms` have passed since this checkpoint id slept first."""
        self._about_to_record(checkpoint_id)
        with self._under_way.operation(is_timer=True) as own:
            await _let_others_begin()
            while True:
                outcome = await self._ask(
                    self._store().sleep(checkpoint_id, duration_ms, state, suspend_above_ms=self._suspend_above_ms(own))
                )
                own.told(outcome.wake_at_ms)
                if outcome.state is SleepState.DONE:
                    return
                if outcome.state is SleepState.SUSPENDED:
                    await self._suspend(f"sleeping under {checkpoint_id!r} until {outcome.wake_at_ms} ms")
                await self._wait_here(outcome.remaining_ms)

    async def before_attempt(self, checkpoint_id: str, attempt: RetryAttempt) -> None:
        """Record an attempt and return when it may run."""
        self._about_to_record(checkpoint_id)
        with self._under_way.operation(is_timer=True) as own:
            await _let_others_begin()
            while True:
                outcome = await self._ask(
                    self._store().record_retry_attempt(
                        checkpoint_id, attempt, suspend_above_ms=self._suspend_above_ms(own)
                    )
                )
                own.told(outcome.wake_at_ms)
                if outcome.state is SleepState.DONE:
                    return
                if outcome.state is SleepState.SUSPENDED:
                    await self._suspend(f"{checkpoint_id!r} is tried again at {outcome.wake_at_ms} ms")
                waited_ms = await self._wait_here(outcome.remaining_ms)
                if waited_ms >= outcome.remaining_ms:
                    return  # nothing marks the end of this wait, so there is nothing to ask

    async def signal(self, checkpoint_id: str, timeout_ms: int | None) -> bytes:
        """The payload of the custom signal, once it has come; raises `SignalTimeoutError` at the deadline."""
        self._about_to_record(checkpoint_id)
        with self._under_way.operation(awaited_signal=checkpoint_id) as own:
            await _let_others_begin()
            while True:
                wait = await self._ask(
                    self._store().wait_signal(
                        checkpoint_id,
                        timeout_ms,
                        suspend_above_ms=self._suspend_above_ms(own),
                        beside=self._under_way.beside(own),
                    )
                )
                own.told(wait.deadline_ms)
                if wait.state is SignalWaitState.RECEIVED:
                    return wait.payload
                if wait.state is SignalWaitState.TIMED_OUT:
                    raise SignalTimeoutError(f"no signal {checkpoint_id!r} came until {wait.deadline_ms} ms")
                if wait.state is SignalWaitState.SUSPENDED:
                    await self._suspend(f"waiting for signal {checkpoint_id!r}")
                await self._look_out(checkpoint_id, wait.remaining_ms)

    def _suspend_above_ms(self, own: Operation) -> int | None:
        return self._threshold_ms if self._under_way.may_suspend(own) else None

    async def _wait_here(self, remaining_ms: int) -> int:
        """Wait for what is left, or until it is time to ask again; returns how long that was, milliseconds."""
        longest_ms = LONGEST_WAIT_MS
        if remaining_ms > self._threshold_ms:
            await self._check_signals()  # a pending signal is what keeps a long sleeper here
            if self._under_way.only_waits:
                longest_ms = SETTLING_MS
        wait_ms = min(max(remaining_ms, 1), longest_ms)
        await self._pause(wait_ms)
        return wait_ms

    async def _look_out(self, checkpoint_id: str, remaining_ms: int | None) -> None:
        """Return when the signal has come, when nothing is left to wait for, or after `LONGEST_WAIT_MS`."""
        longest_ms = LONGEST_WAIT_MS
        if remaining_ms is None or remaining_ms > self._threshold_ms:
            await self._check_signals()
            if self._under_way.only_waits:
                longest_ms = SETTLING_MS
        wait_ms = longest_ms if remaining_ms is None else min(remaining_ms, longest_ms)
        await self._watch.race(self._hear(checkpoint_id, wait_ms), suspension_too=True)

    async def _hear(self, checkpoint_id: str, wait_ms: int) -> None:
        ends_at_ms = self._clock.now_ms() + wait_ms
        while (left_ms := ends_at_ms - self._clock.now_ms()) > 0:
            poll = await self._polls.hear(checkpoint_id, wait_ms=left_ms)
            if poll.custom_signal is not None:
                return

    async def _pause(self, wait_ms: int) -> None:
        await self._watch.race(self._clock.sleep(wait_ms / 1000), suspension_too=True)

    async def _suspend(self, why: str) -> NoReturn:
        await self._prepare_to_suspend()
        raise InstanceSuspended(why)


async def _let_others_begin() -> None:
    """Tasks that were made together, as by `asyncio.gather`, begin one by one: the first is not alone for long."""
    await asyncio.sleep(0)


def duration_ms(duration: timedelta | float, what: str) -> int:
    """A timedelta or seconds as milliseconds; raises `InvalidInputError` that begins with `what`."""
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if not 0 <= seconds < 2**53 / 1000:
        raise InvalidInputError(f"{what}: {duration!r} is not a duration of 0 s or more")
    return round(seconds * 1000)
