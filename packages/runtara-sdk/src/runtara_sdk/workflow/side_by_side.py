"""The elements of a Split, a bounded number at a time.

Elements begin in their order. What costs memory is what is under way, not how many elements there are. When one fails,
none after it begins, those after it are cancelled, and those before it are awaited, as one of them may fail, too: so
the failure is always that of the first element that fails, however fast the others were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from runtara_sdk.instance_calls import calls_of
from runtara_sdk.workflow.failures import StepFailedError

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk

WIND_DOWN_SECONDS = 5.0
"""Work that ignores its cancellation is left behind after this."""


class ItemFailedError(Exception):
    """One element failed, and that ends the Split."""

    def __init__(self, index: int, failure: StepFailedError) -> None:
        super().__init__(index)
        self.index = index
        self.failure = failure


async def each_item(sdk: RuntaraSdk, count: int, parallelism: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Await `work(index)` for each index below `count`, at most `parallelism` at a time.

    Raises `ItemFailedError` of the lowest index that raised one; anything else that is raised, an interruption of the
    instance above all, cancels the rest and goes on up.
    """
    if min(parallelism, count) <= 1:
        for index in range(count):
            calls_of(sdk).raise_if_interrupted()
            await work(index)
        return
    await _Pool(sdk, count, work).run(parallelism)


class _Pool:
    def __init__(self, sdk: RuntaraSdk, count: int, work: Callable[[int], Awaitable[None]]) -> None:
        self._sdk = sdk
        self._count = count
        self._work = work
        self._next = 0
        self._running: dict[asyncio.Task[None], int] = {}
        self._first: ItemFailedError | None = None

    async def run(self, parallelism: int) -> None:
        try:
            while self._fill(parallelism):
                done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(done, key=self._running.__getitem__):
                    del self._running[task]
                    self._settle(task)
        finally:
            await self._cancel(list(self._running))
        if self._first is not None:
            raise self._first

    def _fill(self, parallelism: int) -> bool:
        """Begin what may begin; false when nothing is under way any more."""
        while self._first is None and self._next < self._count and len(self._running) < parallelism:
            calls_of(self._sdk).raise_if_interrupted()
            self._running[asyncio.ensure_future(self._one(self._next))] = self._next
            self._next += 1
        return bool(self._running)

    async def _one(self, index: int) -> None:
        with calls_of(self._sdk).under_way.operation():  # between its calls an element is at work, too
            await self._work(index)

    def _settle(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return  # one after a failed element
        error = task.exception()
        if error is None:
            return
        if not isinstance(error, ItemFailedError):
            raise error
        if self._first is None or error.index < self._first.index:
            self._first = error
            for other, index in self._running.items():
                if index > error.index:
                    other.cancel()

    @staticmethod
    async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=WIND_DOWN_SECONDS)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as forgotten
