"""Breakpoints of debug mode: the instance suspends itself before a step and goes on when somebody resumes it.

The suspension leaves a checkpoint in the transaction that makes it, so the launch after it finds the breakpoint passed.
Whatever dies in between, the instance stops once at each breakpoint that it reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtara_sdk.errors import InstanceSuspended
from runtara_sdk.instance_calls import calls_of

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk
    from runtara_sdk.workflow.run import Run
    from runtara_sdk.workflow.steps.base import Step


class Breakpoints:
    """The breakpoints of one instance, shared by all its graph runs."""

    def __init__(self, sdk: RuntaraSdk) -> None:
        self._sdk = sdk

    async def stop_before(self, step: Step, run: Run) -> None:
        """Return when the step may go on; raises `InstanceSuspended` where the instance stops now."""
        key = run.scope.key("breakpoint", step.id)
        if await calls_of(self._sdk).state_of(key) is not None:
            return
        await run.events.breakpoint_hit(step, key)
        await self._sdk.suspended(key)
        raise InstanceSuspended(f"it has come to the breakpoint of the step {step.id!r}")
