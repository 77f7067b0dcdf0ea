"""The state of one instance in memory: what a core daemon keeps, for trials and tests without one.

It outlives the programs that advance the instance: each launch gets a backend of its own, and calls of an earlier one
are refused. Suspended waits end when whoever drives the trial launches the program again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidStateError, StaleEpochError
from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    CustomSignal,
    EventType,
    InstanceEvent,
    InstanceStatus,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    RetryState,
    Signal,
    SignalPoll,
    SignalWait,
    SignalWaitState,
    SleepOutcome,
    SleepState,
    StatusReport,
    WaitsBeside,
)

_ENDS = {
    EventType.COMPLETED: InstanceStatus.COMPLETED,
    EventType.FAILED: InstanceStatus.FAILED,
    EventType.SUSPENDED: InstanceStatus.SUSPENDED,
}


class ProgramKilled(BaseException):
    """The process died here. What is left of the program gets nothing from the store any more."""


@dataclass(frozen=True, slots=True)
class KillPoint:
    """Where a trial kills the program once: before or after the call of the store with this number, from 1 on."""

    call: int
    after: bool


@dataclass(slots=True)
class MemoryStore:
    """One instance.

    Attributes:
        clock: the source of time.
        status: of the instance.
        checkpoints: id to state.
        events: everything reported, in order; heartbeats are not kept.
        attempts: every retry attempt recorded, with the checkpoint id of its call.
        output: JSON of the result.
        error: text of the failure.
        wake_at_ms: when a suspended instance is due; None when only a signal wakes it.
        epoch: number of the current launch.
        deadlines: when each sleep and wait ends, by checkpoint id.
        timed_out: the waits for signals whose time is over.
        next_attempts: the attempt that comes next for each call, and when.
        custom_signals: payload by signal id.
        event_keys: keys of the events that were reported with one.
        call_keys: which call stored each checkpoint.
        signal: the pending signal of the instance.
        news: set, and replaced, when something happens that a held poll must hear of.
        is_new: whether no program has registered yet.
        kill: where the program dies.
        calls: how many calls have changed something, or tried to.
    """

    clock: Clock
    status: InstanceStatus = InstanceStatus.PENDING
    checkpoints: dict[str, bytes] = field(default_factory=dict)
    events: list[InstanceEvent] = field(default_factory=list)
    attempts: list[tuple[str, RetryAttempt]] = field(default_factory=list)
    output: bytes | None = None
    error: bytes | None = None
    wake_at_ms: int | None = None
    epoch: int = 0
    deadlines: dict[str, int] = field(default_factory=dict)
    timed_out: set[str] = field(default_factory=set)
    next_attempts: dict[str, tuple[int, RetryAttempt]] = field(default_factory=dict)
    custom_signals: dict[str, bytes] = field(default_factory=dict)
    event_keys: set[str] = field(default_factory=set)
    call_keys: dict[str, bytes] = field(default_factory=dict)
    signal: Signal | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_new: bool = True
    kill: KillPoint | None = None
    calls: int = 0

    def launch(self) -> InstanceBackend:
        """The backend of the next launch."""
        self.epoch += 1
        return _LaunchBackend(self, self.epoch)

    def send_signal(self, signal: Signal | None) -> None:
        """Make a signal the pending one, or withdraw it."""
        self.signal = signal
        self.ring()

    def send_custom_signal(self, signal_id: str, payload: bytes) -> None:
        """Deliver a payload; the last one sent before a wait looks counts."""
        self.custom_signals[signal_id] = payload
        self.ring()

    def recorded(self, event: InstanceEvent) -> None:
        """Called with each event that is kept; for subclasses."""

    @contextmanager
    def change(self) -> Iterator[None]:
        """One call that changes something: dies before or after it when it is the one to die at."""
        self.calls += 1
        if self.kill == KillPoint(self.calls, after=False):
            self._die()
        yield
        if self.kill == KillPoint(self.calls, after=True):
            self._die()

    def _die(self) -> None:
        self.kill = None
        self.epoch += 1  # whatever the dead program still asks for is refused
        raise ProgramKilled

    def ring(self) -> None:
        """Let held polls look again."""
        news, self.news = self.news, asyncio.Event()
        news.set()

    def wait_until(self, deadline_ms: int, suspend_above_ms: int | None) -> SleepOutcome:
        """Whether a wait is over, goes on in the process, or suspends the instance."""
        left_ms = max(0, deadline_ms - self.clock.now_ms())
        if left_ms == 0:
            return SleepOutcome(SleepState.DONE, deadline_ms, 0)
        if suspend_above_ms is not None and left_ms > suspend_above_ms and self.signal is None:
            self.status, self.wake_at_ms = InstanceStatus.SUSPENDED, deadline_ms
            return SleepOutcome(SleepState.SUSPENDED, deadline_ms, left_ms)
        return SleepOutcome(SleepState.WAIT, deadline_ms, left_ms)

    def may_suspend(self, deadline_ms: int | None, suspend_above_ms: int, beside: WaitsBeside) -> bool:
        """Suspend the instance in a wait for a signal, if nothing that it waits for is there or about to be."""
        ends = [at_ms for at_ms in (deadline_ms, beside.wake_at_ms) if at_ms is not None]
        wake_at_ms = min(ends, default=None)
        has_come = any(name in self.custom_signals and name not in self.checkpoints for name in beside.signals)
        near = wake_at_ms is not None and wake_at_ms - self.clock.now_ms() <= suspend_above_ms
        if near or has_come or self.signal is not None:
            return False
        self.status, self.wake_at_ms = InstanceStatus.SUSPENDED, wake_at_ms
        return True


class _LaunchBackend(InstanceBackend):
    """What one launch of the program sees of the store."""

    def __init__(self, store: MemoryStore, epoch: int) -> None:
        self._store = store
        self._epoch = epoch

    @property
    def can_suspend(self) -> bool:
        return True

    async def connect(self) -> None:
        """Nothing to reach."""

    async def close(self) -> None:
        """Nothing to release."""

    async def register(self, checkpoint_id: str | None) -> Registration:
        self._check()
        if self._store.status.is_terminal:
            raise InvalidStateError(f"the instance is {self._store.status}")
        self._store.status, self._store.wake_at_ms = InstanceStatus.RUNNING, None
        is_new, self._store.is_new = self._store.is_new, False
        return Registration(self._epoch, is_new)

    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        with self._store.change():
            store = self._running()
            found = checkpoint_id in store.checkpoints
            if not found:
                store.call_keys[checkpoint_id] = call_key
            elif call_key and store.call_keys.get(checkpoint_id) == call_key:
                found = False
            stored = store.checkpoints.setdefault(checkpoint_id, state)
            return CheckpointResult(found, stored if found else b"", store.signal, self._custom(checkpoint_id))

    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        # Which of a program's checkpoints meet in one call is chance, so each of them is a place to die at.
        return [await self.checkpoint(each.checkpoint_id, each.state, call_key=each.call_key) for each in new]

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        self._check()
        return self._store.checkpoints.get(checkpoint_id)

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        self._check()
        state = self._store.checkpoints.get(checkpoint_id)
        if state is not None or checkpoint_id not in self._store.next_attempts:
            return CallProgress(state)
        at_ms, attempt = self._store.next_attempts[checkpoint_id]
        left_ms = max(0, at_ms - self._store.clock.now_ms())
        used, waited = attempt.retries_used, attempt.rate_limit_waited_ms
        return CallProgress(None, RetryState(attempt.attempt_number, attempt.error, at_ms, left_ms, used, waited))

    async def sleep(
        self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        with self._store.change():
            store = self._running()
            store.checkpoints.setdefault(checkpoint_id, state)
            deadline_ms = store.deadlines.setdefault(checkpoint_id, store.clock.now_ms() + duration_ms)
            return store.wait_until(deadline_ms, suspend_above_ms)

    async def report_event(self, event: InstanceEvent) -> None:
        with self._store.change():
            store = self._running()
            if event.event_type is EventType.HEARTBEAT or event.event_key in store.event_keys:
                return
            if event.event_key is not None:
                store.event_keys.add(event.event_key)
            store.events.append(event)
            store.recorded(event)
            store.status = _ENDS.get(event.event_type, store.status)
            if event.event_type is EventType.COMPLETED:
                store.output = event.payload
            elif event.event_type is EventType.FAILED:
                store.error = event.payload
            elif event.event_type is EventType.SUSPENDED and event.checkpoint_id is not None:
                store.checkpoints.setdefault(event.checkpoint_id, b"")
            store.ring()

    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        ends_at_ms = self._store.clock.now_ms() + wait_ms
        while True:
            self._check()
            custom = None if checkpoint_id is None else self._custom(checkpoint_id)
            signal_id = 0 if self._store.signal is None else self._store.signal.signal_id
            left_ms = ends_at_ms - self._store.clock.now_ms()
            is_news = custom is not None or signal_id != known_signal_id or self._store.status.is_terminal
            if is_news or left_ms <= 0:
                return SignalPoll(self._store.signal, custom, self._store.status)
            # A poll for nothing but signals of the instance has no deadline of its own: it must not move a clock.
            await self._hear(None if checkpoint_id is None else left_ms)

    async def acknowledge_signal(self, signal: Signal) -> None:
        with self._store.change():
            self._check()
            cancelled = signal.signal_type.value == "cancel"
            self._store.status = InstanceStatus.CANCELLED if cancelled else InstanceStatus.SUSPENDED
            self._store.send_signal(None)

    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        with self._store.change():
            store = self._running()
            at_ms, known = store.next_attempts.get(checkpoint_id, (0, None))
            if known is None or known.attempt_number < attempt.attempt_number:
                at_ms = store.clock.now_ms() + attempt.wait_ms
                store.next_attempts[checkpoint_id] = (at_ms, attempt)
                store.attempts.append((checkpoint_id, attempt))
            return store.wait_until(at_ms, suspend_above_ms)

    async def wait_signal(
        self,
        checkpoint_id: str,
        timeout_ms: int | None,
        *,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        with self._store.change():
            store = self._running()
            if checkpoint_id in store.timed_out:
                return SignalWait(SignalWaitState.TIMED_OUT, deadline_ms=store.deadlines[checkpoint_id], remaining_ms=0)
            if (custom := self._custom(checkpoint_id)) is not None or checkpoint_id in store.checkpoints:
                payload = store.checkpoints.setdefault(checkpoint_id, b"" if custom is None else custom.payload)
                return SignalWait(SignalWaitState.RECEIVED, payload)
            deadline_ms = store.deadlines.get(checkpoint_id)
            if deadline_ms is None and timeout_ms is not None:
                deadline_ms = store.deadlines[checkpoint_id] = store.clock.now_ms() + timeout_ms
            left_ms = None if deadline_ms is None else max(0, deadline_ms - store.clock.now_ms())
            if left_ms == 0:
                store.timed_out.add(checkpoint_id)
                return SignalWait(SignalWaitState.TIMED_OUT, deadline_ms=deadline_ms, remaining_ms=0)
            state = SignalWaitState.WAIT
            if suspend_above_ms is not None and store.may_suspend(deadline_ms, suspend_above_ms, beside):
                state = SignalWaitState.SUSPENDED
            return SignalWait(state, deadline_ms=deadline_ms, remaining_ms=left_ms)

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        return StatusReport(instance_id, found=True, status=self._store.status)

    async def _hear(self, wait_ms: int | None) -> None:
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._store.news.wait())]
        if wait_ms is not None:
            waits.append(asyncio.ensure_future(self._store.clock.sleep(wait_ms / 1000)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _check(self) -> None:
        if self._epoch != self._store.epoch:
            raise StaleEpochError("a newer launch advances the instance")

    def _running(self) -> MemoryStore:
        self._check()
        if self._store.status is not InstanceStatus.RUNNING:
            raise InvalidStateError(f"the instance is {self._store.status}")
        return self._store

    def _custom(self, checkpoint_id: str) -> CustomSignal | None:
        payload = self._store.custom_signals.get(checkpoint_id)
        return None if payload is None else CustomSignal(checkpoint_id, payload)
