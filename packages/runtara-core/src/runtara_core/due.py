"""The hint that a launch may have become possible.

Whatever creates due work in this process (a start, a resume, a finished run that frees a slot) rings; `claim_launches`
waits for it. A lost hint costs nothing but time: the wait also ends at the next due time and after a bounded interval,
which covers other processes on the same database.
"""

from __future__ import annotations

import asyncio

from runtara_sdk.clock import Clock


class DueBell:
    """Wakes those who wait for launches to become due."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake all current waiters."""
        self._rung.set()
        self._rung = asyncio.Event()

    def listen(self) -> asyncio.Event:
        """An event that the next ring sets; take it before looking for work, so that no ring is missed."""
        return self._rung


async def wait_until_rung(event: asyncio.Event, clock: Clock, timeout_seconds: float) -> bool:
    """Wait for a ring, at most `timeout_seconds` of `clock`; returns whether it rang."""
    if timeout_seconds <= 0:
        return event.is_set()
    ring = asyncio.ensure_future(event.wait())
    timer = asyncio.ensure_future(clock.sleep(timeout_seconds))
    try:
        await asyncio.wait({ring, timer}, return_when=asyncio.FIRST_COMPLETED)
        return event.is_set()
    finally:
        ring.cancel()
        timer.cancel()
