"""Parts of a call that are recorded, as those of a step in a workflow."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from runtara_sdk.agents.durable import DurableParts
from runtara_sdk.clock import Clock, SystemClock


class RememberedParts(DurableParts):
    """Records parts in memory: a call that is made again with the same parts finds what it did."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._now = clock or SystemClock()
        super().__init__(self._now)
        self._records: dict[str, str] = {}

    @property
    def is_recorded(self) -> bool:
        return True

    async def checkpoint(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        if name not in self._records:
            self._records[name] = json.dumps(await work())
        return json.loads(self._records[name])

    async def sleep(self, name: str, duration_ms: int) -> None:
        ends_at_ms = await self.deadline_ms(name, duration_ms)
        await super().sleep(name, max(0, ends_at_ms - self._now.now_ms()))
