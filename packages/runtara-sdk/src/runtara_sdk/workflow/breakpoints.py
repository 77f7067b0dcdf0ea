"""Breakpoints of debug mode: the instance suspends itself before a step and goes on when somebody resumes it.

The suspension leaves a checkpoint in the transaction that makes it, so the launch after it finds the breakpoint passed.
Whatever dies in between, the instance stops once at each breakpoint that it reaches.
"""

from __future__ import annotations

from runtara_sdk.errors import InstanceSuspended
from runtara_sdk.instance_calls import calls_of
from runtara_sdk.workflow.run_context import RunContext
from runtara_sdk.workflow.step_trace import StepTrace
from runtara_sdk.workflow.steps.base import Step


async def stop_before(step: Step, run: RunContext, trace: StepTrace) -> None:
    """Return when the step may go on; raises `InstanceSuspended` where the instance stops now."""
    key = run.scope.key("breakpoint", step.id)
    if await calls_of(run.sdk).state_of(key) is not None:
        return
    await trace.breakpoint_hit(step, key)
    await run.sdk.suspended(key)
    raise InstanceSuspended(f"it has come to the breakpoint of the step {step.id!r}")
