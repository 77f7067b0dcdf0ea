"""How many more launches this host may run beside those that are watched, adopted ones included."""

from __future__ import annotations

import asyncio

from runtara_environment.supervision.live_launch import LiveLaunches


class LaunchRoom:
    """The room that `live` leaves under a limit of the host; `max_launches` 0 is no limit."""

    def __init__(self, live: LiveLaunches, max_launches: int) -> None:
        self._live = live
        self._max_launches = max_launches

    def of(self, wanted: int) -> int:
        """How many of `wanted` further launches fit; 0 when the host is full."""
        if not self._max_launches:
            return wanted
        return max(0, min(wanted, self._max_launches - len(self._live)))

    async def wait(self) -> None:
        """Return once another launch fits: each launch is bounded by its timeout, and a full host waits for one to end.

        More than the limit may be watched after a restart that lowered it, so several may have to end.
        """
        while not self.of(1):
            tasks = {live.task for live in self._live.values() if live.task is not None}
            # A launch leaves `live` before its task is done.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
