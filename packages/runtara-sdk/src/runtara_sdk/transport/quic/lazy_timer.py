"""A timer that is set anew for almost every datagram, which mostly only moves it later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EARLY_SECONDS = 0.001
"""Event loops may wake up so much too early."""


class LazyTimer:
    """Calls `on_due` once after the time that was set last.

    A wake-up that is armed for an earlier time stays armed, and looks at the time again when it comes: so of a thousand
    moves only a few cost the loop anything.
    """

    __slots__ = ("_due", "_handle", "_loop", "_on_due", "_wakes_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_due: Callable[[float], None]) -> None:
        self._loop = loop
        self._on_due = on_due
        self._due: float | None = None
        self._wakes_at = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due: float | None) -> None:
        """Become due at this time of the loop's clock; None never does."""
        self._due = due
        if due is None or (self._handle is not None and self._wakes_at <= due):
            return
        if self._handle is not None:
            self._handle.cancel()
        self._arm(due)

    def cancel(self) -> None:
        """Never become due, and let go of the loop."""
        self._due = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, due: float) -> None:
        self._wakes_at = due
        self._handle = self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        self._handle = None
        due = self._due
        if due is None:
            return
        now = self._loop.time()
        if now + _EARLY_SECONDS < due:
            self._arm(due)
        else:
            self._due = None
            self._on_due(max(now, due))
