"""The end that a step sets to its own work: fixed when the step is first reached, kept over every restart.

The limit counts while the process sleeps, too. A sleep or a wait within it ends with it at the latest, so that the
process comes back in time; what the limit cuts off is cancelled, and no handler within sees anything of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeVar

from runtara_sdk.clock import Clock
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.failures import TIMEOUT, StepFailedError

if TYPE_CHECKING:
    from runtara_sdk.workflow.retry import DurableCalls

Result = TypeVar("Result")

_WIND_DOWN_SECONDS = 5.0
"""Work that ignores its cancellation is left behind after this."""


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """When the work must be over, milliseconds since the Unix epoch, and the failure that says it is not."""

    ends_at_ms: int
    code: str
    message: str

    def failure(self) -> StepFailedError:
        """The failure of the step that set the limit; trying again cannot help, as the limit stays."""
        failure = StepFailedError(self.code, self.message, category=TIMEOUT)
        failure.retryable = False
        return failure

    async def apply(self, clock: Clock, work: Awaitable[Result]) -> Result:
        """The result of `work`; cancels it and raises the failure when the limit is reached first."""
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(clock.sleep(max(0, self.ends_at_ms - clock.now_ms()) / 1000))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self.failure()
            return task.result()
        finally:
            timer.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_WIND_DOWN_SECONDS)
            if task.done() and not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as forgotten


async def fix_limit(clock: Clock, calls: DurableCalls, key: str, timeout_ms: int, code: str, what: str) -> TimeLimit:
    """The limit of a step: `timeout_ms` after the first time that its key was asked for."""

    async def first() -> int:
        return clock.now_ms() + timeout_ms

    ends_at_ms = await calls.call(f"{key}::deadline", first, RetryPolicy(0))
    return TimeLimit(ends_at_ms, code, f"{what} took longer than {timeout_ms} ms")


async def wait_for_limit() -> NoReturn:
    """For what has waited until the limit of an enclosing step: that step is about to end it."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable")  # the future is never done; the limit cancels the wait
