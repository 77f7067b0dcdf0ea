"""Which durable work of a program is under way, so that a wait knows whether it may end the process.

A long wait suspends the instance, and the program ends. That must not happen while the program does something beside
the wait: a step that is at work would be cut off and done again. So a wait suspends when nothing but waits is under
way, and the store knows of all of them: of timers the first to end does it for all; where signals are waited for, too,
the first wait for one does, and tells the store of the others. Otherwise a wait stays in the process, whatever its
length, and asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from runtara_sdk.models import WaitsBeside


class Operation:
    """One durable call or wait that is under way.

    Attributes:
        is_timer: whether it does nothing but wait for a time that the store keeps.
        awaited_signal: checkpoint id of the custom signal that it waits for, and for nothing else.
        is_known: whether the store has been asked, so that it knows of the wait.
        deadline_ms: when the wait ends, milliseconds since the Unix epoch, as the store has told it; None: never.
    """

    def __init__(self, *, is_timer: bool = False, awaited_signal: str | None = None) -> None:
        self.is_timer = is_timer
        self.awaited_signal = awaited_signal
        self.is_known = False
        self.deadline_ms: int | None = None

    def told(self, deadline_ms: int | None) -> None:
        """Hear from the store until when this waits."""
        self.is_known, self.deadline_ms = True, deadline_ms

    @property
    def is_wait(self) -> bool:
        """Whether it does nothing but wait."""
        return self.is_timer or self.awaited_signal is not None


_surrounding: ContextVar[frozenset[Operation]] = ContextVar("runtara_surrounding_operations", default=frozenset())


class OperationsUnderWay:
    """The durable calls and waits of one instance in this process."""

    def __init__(self) -> None:
        self._all: dict[Operation, frozenset[Operation]] = {}

    @contextmanager
    def operation(self, *, is_timer: bool = False, awaited_signal: str | None = None) -> Iterator[Operation]:
        """Count what the block does as one operation, a part of those that surround it.

        A part of a program that runs beside others is one, too: between its calls it counts as work.
        """
        own = Operation(is_timer=is_timer, awaited_signal=awaited_signal)
        outer = _surrounding.get()
        self._all[own] = outer
        token = _surrounding.set(outer | {own})
        try:
            yield own
        finally:
            _surrounding.reset(token)
            del self._all[own]

    def may_suspend(self, own: Operation) -> bool:
        """Whether the instance may be suspended by this wait."""
        innermost = self._innermost()
        if innermost == [own]:
            return True
        if not all(operation.is_wait and operation.is_known for operation in innermost):
            return False
        for_signals = [operation for operation in innermost if operation.awaited_signal is not None]
        if for_signals:
            return own is for_signals[0]
        return min(innermost, key=_deadline) is own

    def beside(self, own: Operation) -> WaitsBeside:
        """What else is waited for."""
        others = [operation for operation in self._innermost() if operation is not own]
        ends = [operation.deadline_ms for operation in others if operation.deadline_ms is not None]
        signals = [operation.awaited_signal for operation in others if operation.awaited_signal is not None]
        return WaitsBeside(min(ends, default=None), tuple(signals))

    @property
    def only_waits(self) -> bool:
        """Whether nothing but waits is under way, so that one of them may suspend the instance soon."""
        return all(operation.is_wait for operation in self._innermost())

    def _innermost(self) -> list[Operation]:
        """The operations that surround no other, in the order in which they began."""
        surrounding = frozenset[Operation]().union(*self._all.values())
        return [operation for operation in self._all if operation not in surrounding]


def _deadline(operation: Operation) -> int:
    return operation.deadline_ms or 0
