"""Delay: sleeps durably."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.coercion import shown
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.mapping import Value
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.time_limit import TimeLimit, wait_for_limit

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext

_WHOLE = b"whole"
_CUT_OFF = b"cut off by the time limit of an enclosing step"
_LONGEST_MS = 100 * 365 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayStep(Step):
    """Sleeps for `duration_ms` milliseconds; the deadline is fixed when the step is first reached.

    A long sleep ends the process: the instance is suspended until the deadline.
    """

    step_type: ClassVar[str] = "Delay"
    is_traced: ClassVar[bool] = False

    duration_ms: Value

    def resolve(self, run: RunContext) -> int:
        return _milliseconds(self.duration_ms.resolve(run.roots))

    async def perform(self, run: RunContext, inputs: int) -> Outcome:
        key = run.scope.key("delay", self.id)
        calls = self.calls(run)
        if run.limit is None or not calls.keep_records:  # what keeps none, the limit itself ends
            await calls.sleep(key, inputs)
        else:
            await self._sleep_within(run, run.limit, inputs, key)
        return Outcome({"duration_ms": inputs}, extras={"duration_ms": inputs})

    @staticmethod
    async def _sleep_within(run: RunContext, limit: TimeLimit, duration_ms: int, key: str) -> None:
        """Sleep, but not longer than an enclosing step lasts; what was asked for first decides in every later run."""
        left_ms = max(0, limit.ends_at_ms - run.clock.now_ms())
        state = _WHOLE if duration_ms <= left_ms else _CUT_OFF
        await run.sdk.durable_sleep(timedelta(milliseconds=min(duration_ms, left_ms)), key, state)
        if await run.sdk.get_checkpoint(key) == _CUT_OFF:
            await wait_for_limit()


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise StepFailedError("INVALID_DURATION", f"durationMs must be a number of milliseconds, not {shown(value)}")
    duration_ms = max(0, math.trunc(value))
    if duration_ms > _LONGEST_MS:
        raise StepFailedError("INVALID_DURATION", f"durationMs {duration_ms} is longer than 100 years")
    return duration_ms
