"""What a capability may keep across the death of its process: parts of its work, and waits.

A capability that reads pages, or waits for something to appear, is one step of a scenario, but more than one piece of
work. Each piece has a name, which is the same whenever the step is run again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from runtara_sdk.clock import Clock, SystemClock


class DurableParts:
    """Parts and waits without any record: what calls outside of a workflow have, and steps with `durable: false`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    @property
    def is_recorded(self) -> bool:
        """Whether a later process finds what is done here."""
        return False

    async def checkpoint(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """The JSON value recorded under `name`, else that of `work`, which is then recorded.

        Args:
            name: unique within the call, the same in every run of it: `page-3`.
            work: makes the value. It is called again when the process dies before the value is recorded.
        """
        return await work()

    async def sleep(self, name: str, duration_ms: int) -> None:
        """Return once `duration_ms` have passed since the first sleep under `name`.

        A long one ends the process; the step is then run again from its beginning, and finds its parts.
        """
        await self._clock.sleep(duration_ms / 1000)

    async def deadline_ms(self, name: str, duration_ms: int) -> int:
        """The end of a time that began when this was first asked under `name`, milliseconds since the Unix epoch."""

        async def fix() -> int:
            return self._clock.now_ms() + duration_ms

        fixed: int = await self.checkpoint(name, fix)
        return fixed
