"""Polls for signals that the store holds until there is news, so that a signal is heard at once and silence is free.

A store that does not hold polls (a core of the original protocol, or one that holds too many already) answers at once;
then the next poll waits for the rest of the poll interval. So does one that found nothing but what was heard before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.errors import InstanceNotFoundError, InstanceSuperseded
from runtara_sdk.interruption import InterruptionWatch
from runtara_sdk.models import Signal, SignalPoll

Result = TypeVar("Result")

LONGEST_HOLD_MS = 30_000
"""For so long one poll is held at most, milliseconds."""

MAX_HELD = 16
"""Polls of one instance held at a time; so they never use up the calls that a connection may have open."""

_LONGEST_INTERVAL_MS = 1_000


class StoreCall(Protocol):
    """Awaits a call of the store and turns a stale epoch into an interruption."""

    async def __call__(self, call: Awaitable[Result]) -> Result:
        """The answer."""


class SignalPolls:
    """The held polls of one instance; what they find is made known to the watch.

    Args:
        store: gives the connected backend.
        ask: awaits a call of it.
        watch: learns of signals, and of an end that is not the program's own doing.
        clock: source of the waits.
        interval_ms: between two polls that are answered at once, milliseconds; at most a second.
    """

    def __init__(
        self,
        *,
        store: Callable[[], InstanceBackend],
        ask: StoreCall,
        watch: InterruptionWatch,
        clock: Clock,
        interval_ms: int,
    ) -> None:
        self._store = store
        self._ask = ask
        self._watch = watch
        self._clock = clock
        self._interval_ms = min(interval_ms, _LONGEST_INTERVAL_MS)
        self._asked_at_ms: dict[object, int] = {}
        self._last_heard: Signal | None = None
        self._held_until_ms = 0

    @property
    def interval_ms(self) -> int:
        """Shortest time between two polls without news, milliseconds."""
        return self._interval_ms

    @property
    def is_held(self) -> bool:
        """Whether the store holds a poll, or did until now, which tells it that the program is alive."""
        now_ms = self._clock.now_ms()
        since_ms = now_ms - self._interval_ms
        return 0 <= now_ms - self._held_until_ms <= self._interval_ms or any(
            asked_at_ms <= since_ms for asked_at_ms in self._asked_at_ms.values()
        )

    async def hear(self, checkpoint_id: str | None = None, *, wait_ms: int = LONGEST_HOLD_MS) -> SignalPoll:
        """Return at news, at the custom signal for `checkpoint_id`, or after about `wait_ms`.

        Raises what the store raises, and `InstanceSuperseded` when the instance was ended or removed from outside.
        """
        known = self._watch.signal
        asked_at_ms = self._clock.now_ms()
        hold_ms = min(wait_ms, LONGEST_HOLD_MS) if len(self._asked_at_ms) < MAX_HELD else 0
        poll = await self._poll(checkpoint_id, known, hold_ms, asked_at_ms)
        if poll is None:
            self._last_heard = None
            return SignalPoll()
        if (now_ms := self._clock.now_ms()) - asked_at_ms >= self._interval_ms:
            self._held_until_ms = now_ms
        is_news = poll.signal != self._last_heard
        self._last_heard = poll.signal
        self._watch.observe(poll.signal)
        if poll.status is not None and poll.status.is_terminal:
            self._watch.end(f"the instance is {poll.status.value}: this program no longer advances it")
        if poll.custom_signal is None and not is_news:
            await self._rest(asked_at_ms, wait_ms)
        return poll

    async def _poll(
        self, checkpoint_id: str | None, known: Signal | None, hold_ms: int, asked_at_ms: int
    ) -> SignalPoll | None:
        """The answer; None when meanwhile another answer withdrew the signal that this poll takes for known."""
        poll = self._store().poll_signals(
            checkpoint_id, wait_ms=hold_ms, known_signal_id=known.signal_id if known is not None else 0
        )
        asked = object()
        self._asked_at_ms[asked] = asked_at_ms
        try:
            if known is None:
                return await self._ask(poll)
            return await self._ask(self._unless_withdrawn(poll))
        except InstanceNotFoundError as error:
            self._watch.end(error.message)
            raise InstanceSuperseded(error.message) from error
        finally:
            del self._asked_at_ms[asked]

    async def _unless_withdrawn(self, poll: Awaitable[SignalPoll]) -> SignalPoll | None:
        # Answers may overtake each other: one from before the signal can make the watch forget it.
        answer = asyncio.ensure_future(poll)
        withdrawal = asyncio.ensure_future(self._watch.withdrawal())
        try:
            await asyncio.wait({answer, withdrawal}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            answer.cancel()
            withdrawal.cancel()

    async def _rest(self, asked_at_ms: int, wait_ms: int) -> None:
        passed_ms = self._clock.now_ms() - asked_at_ms
        pause_ms = min(self._interval_ms, wait_ms)
        if 0 <= passed_ms < pause_ms:
            await self._clock.sleep((pause_ms - passed_ms) / 1000)
