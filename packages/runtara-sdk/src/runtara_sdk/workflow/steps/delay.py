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

if TYPE_CHECKING:
    from runtara_sdk.workflow.run import Run

_LONGEST_MS = 100 * 365 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayStep(Step):
    """Sleeps for `duration_ms` milliseconds; the deadline is fixed when the step is first reached.

    A long sleep ends the process: the instance is suspended until the deadline.
    """

    step_type: ClassVar[str] = "Delay"
    is_traced: ClassVar[bool] = False

    duration_ms: Value

    def resolve(self, run: Run) -> int:
        return _milliseconds(self.duration_ms.resolve(run.roots))

    async def perform(self, run: Run, inputs: int) -> Outcome:
        await run.sdk.durable_sleep(timedelta(milliseconds=inputs), run.scope.key("delay", self.id))
        return Outcome({"duration_ms": inputs}, follow=self.then, extras={"duration_ms": inputs})


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise StepFailedError("INVALID_DURATION", f"durationMs must be a number of milliseconds, not {shown(value)}")
    duration_ms = max(0, math.trunc(value))
    if duration_ms > _LONGEST_MS:
        raise StepFailedError("INVALID_DURATION", f"durationMs {duration_ms} is longer than 100 years")
    return duration_ms
