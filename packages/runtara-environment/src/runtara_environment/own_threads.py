"""A few threads of its own for work that may take long, or never come back: on a file system that hangs, for one.

What `asyncio.to_thread` runs shares a handful of threads with the whole process, and nothing ends a function that hangs
in the kernel. So such work has threads apart, few enough to be lost. Each call has a thread of its own, which makes
nothing that would have to be closed. They are daemons: the interpreter does not wait for them when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")

_SECONDS_WHEN_ALL_HANG = 1.0


class NoAnswerError(Exception):
    """A function has not come back in time, or no thread was free to call it. It may still be at work."""


class OwnThreads:
    """Threads of one event loop for one purpose.

    Args:
        count: most threads at a time.
        name: what they are for.
        seconds: how long a call takes at most, with the wait for a thread; None is for ever. A thread that works for
            longer hangs. While all of them do, a further call waits for a second at most.
    """

    def __init__(self, count: int, name: str, *, seconds: float | None = None) -> None:
        self._count = count
        self._name = name
        self._seconds = seconds
        self._free = asyncio.Semaphore(count)
        self._begun: dict[asyncio.Future[Any], float] = {}

    async def run(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """What `function` returns or raises. Raises `NoAnswerError` after the time; the thread is left alone then.

        A host that has no more threads is an `OSError`. Whoever is cancelled leaves the thread alone, too.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._patience(began)):
                await self._free.acquire()
        except TimeoutError:
            raise NoAnswerError from None
        outcome: asyncio.Future[_T] = loop.create_future()
        self._begun[outcome] = loop.time()
        thread = threading.Thread(
            target=self._work, args=(loop, outcome, function, arguments), name=self._name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            self._free_thread(outcome)
            raise OSError(errno.EAGAIN, "no thread can be started") from error
        try:
            # Not `asyncio.timeout`: a function may raise `TimeoutError` itself, which a file system does.
            left = None if self._seconds is None else max(0.0, began + self._seconds - loop.time())
            await asyncio.wait({outcome}, timeout=left)
            if not outcome.done():
                raise NoAnswerError
            return outcome.result()
        finally:
            outcome.cancel()  # nobody waits for it any more

    def _patience(self, now: float) -> float | None:
        seconds = self._seconds
        if seconds is None:
            return None
        hanging = sum(now - began >= seconds for began in self._begun.values())
        return min(seconds, _SECONDS_WHEN_ALL_HANG) if hanging >= self._count else seconds

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        outcome: asyncio.Future[Any],
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
    ) -> None:
        result, failure = None, None
        try:
            result = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(self._settle, outcome, result, failure)

    def _settle(self, outcome: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
        self._free_thread(outcome)
        if outcome.done():
            return
        if failure is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(failure)

    def _free_thread(self, outcome: asyncio.Future[Any]) -> None:
        del self._begun[outcome]
        self._free.release()
