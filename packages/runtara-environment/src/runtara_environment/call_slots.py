"""How many costly calls run at a time: a bound in total, half of it for one tenant, a short queue."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_MAX_WAITING = 16
_WAIT_SECONDS = 10.0


class NoSlotError(Exception):
    """As many calls run and wait as may."""


class CallSlots:
    """Slots for calls.

    Args:
        total: most calls at a time; of one tenant half of them, and at least one.
        max_waiting: most callers that wait for a slot; of one tenant half of them, and at least one.
        wait_seconds: how long one waits.
    """

    def __init__(self, total: int, *, max_waiting: int = _MAX_WAITING, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._total = total
        self._of_one_tenant = (total + 1) // 2
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._taken: Counter[str] = Counter()
        self._queue: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def slot(self, tenant_id: str) -> AsyncIterator[None]:
        """Hold a slot. Raises `NoSlotError` when none becomes free in time."""
        await self._take(tenant_id)
        try:
            yield
        finally:
            self._release(tenant_id)

    async def _take(self, tenant_id: str) -> None:
        if self._is_free(tenant_id):
            self._taken[tenant_id] += 1
            return
        waiting = sum(each[0] == tenant_id for each in self._queue)
        if len(self._queue) >= self._max_waiting or waiting >= (self._max_waiting + 1) // 2:
            raise NoSlotError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((tenant_id, turn))
        try:
            await asyncio.wait({turn}, timeout=self._wait_seconds)
        except asyncio.CancelledError:
            if turn.done():  # given to somebody who has left
                self._release(tenant_id)
            raise
        finally:
            self._queue = [each for each in self._queue if each[1] is not turn]
        if not turn.done():
            raise NoSlotError

    def _release(self, tenant_id: str) -> None:
        self._taken[tenant_id] -= 1
        self._taken += Counter()  # forgets tenants that hold none
        for waiting, turn in self._queue:
            if not turn.done() and self._is_free(waiting):
                self._taken[waiting] += 1
                turn.set_result(None)

    def _is_free(self, tenant_id: str) -> bool:
        return self._taken.total() < self._total and self._taken[tenant_id] < self._of_one_tenant
