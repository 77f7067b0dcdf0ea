"""Which durable work of a program is under way, so that a wait knows whether it may end the process.

A long wait suspends the instance, and the program ends. That must not happen while the program does something beside
the wait: a step that is at work would be cut off and done again, a timer beside it would come late, a signal that
another part waits for would wake nobody. So a wait that is not alone waits in the process, whatever its length, and
asks again whether it is alone now.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_surrounding: ContextVar[frozenset[object]] = ContextVar("runtara_surrounding_operations", default=frozenset())


class OperationsUnderWay:
    """The durable calls and waits of one instance in this process."""

    def __init__(self) -> None:
        self._all: set[object] = set()

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Count what the block does as one operation, a part of those that surround it."""
        own = object()
        self._all.add(own)
        token = _surrounding.set(_surrounding.get() | {own})
        try:
            yield
        finally:
            _surrounding.reset(token)
            self._all.discard(own)

    @property
    def is_alone(self) -> bool:
        """Whether nothing is under way but the operation of the caller and those that surround it."""
        return self._all <= _surrounding.get()
