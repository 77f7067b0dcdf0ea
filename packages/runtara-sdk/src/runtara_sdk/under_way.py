"""Which durable work of a program is under way, so that a wait knows whether it may end the process.

A long wait suspends the instance, and the program ends. That must not happen while the program does something beside
the wait: a step that is at work would be cut off and done again, a timer beside it would come late, a signal that
another part waits for would wake nobody. So a wait suspends when it is alone, or when nothing but timers is under way
and it is the first of them to end: the store has the deadlines of the others. Otherwise it waits in the process,
whatever its length, and asks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Operation:
    """One durable call or wait that is under way.

    Attributes:
        is_timer: whether it does nothing but wait for a time that the store keeps.
        deadline_ms: that time, milliseconds since the Unix epoch, once the store has told it.
    """

    def __init__(self, *, is_timer: bool) -> None:
        self.is_timer = is_timer
        self.deadline_ms: int | None = None


_surrounding: ContextVar[frozenset[Operation]] = ContextVar("runtara_surrounding_operations", default=frozenset())


class OperationsUnderWay:
    """The durable calls and waits of one instance in this process."""

    def __init__(self) -> None:
        self._all: dict[Operation, frozenset[Operation]] = {}

    @contextmanager
    def operation(self, *, is_timer: bool = False) -> Iterator[Operation]:
        """Count what the block does as one operation, a part of those that surround it.

        A part of a program that runs beside others is one, too: between its calls it counts as work.
        """
        own = Operation(is_timer=is_timer)
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
        return self._are_timers(innermost) and min(innermost, key=_deadline) is own

    @property
    def only_timers(self) -> bool:
        """Whether nothing but timers is under way, so that the first of them may suspend the instance soon."""
        return self._are_timers(self._innermost())

    @staticmethod
    def _are_timers(operations: list[Operation]) -> bool:
        return all(operation.is_timer and operation.deadline_ms is not None for operation in operations)

    def _innermost(self) -> list[Operation]:
        """The operations that surround no other, in the order in which they began."""
        surrounding = frozenset[Operation]().union(*self._all.values())
        return [operation for operation in self._all if operation not in surrounding]


def _deadline(operation: Operation) -> int:
    return operation.deadline_ms or 0
