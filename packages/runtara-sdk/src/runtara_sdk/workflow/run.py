"""One run of a graph: its data, the records of the steps done, and which steps have been reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.workflow.events import RunEvents
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.retry import DurableCalls
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk


class Run:
    """State of one graph run.

    Attributes:
        sdk: the instance that the run belongs to.
        scope: place of the run; makes its checkpoint keys.
        records: step id to record, `{stepId, stepName, stepType, outputs, ...}`.
        roots: what references read: `data`, `variables`, `steps`, `scenario`, `workflow`.
        calls: does what is done once, whatever happens to the process.
        events: sends log lines and debug events.
        clock: the source of time.
    """

    def __init__(
        self,
        sdk: RuntaraSdk,
        scope: Scope,
        *,
        data: Mapping[str, Any],
        variables: Mapping[str, Any],
        debug: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.sdk = sdk
        self.scope = scope
        self.records: dict[str, dict[str, Any]] = {}
        inputs = {"data": dict(data), "variables": dict(variables)}
        self.roots: dict[str, Any] = {
            **inputs,
            "steps": self.records,
            "scenario": {"inputs": inputs},
            "workflow": {"inputs": inputs},
        }
        self.clock = clock or SystemClock()
        self.calls = DurableCalls(sdk)
        self.events = RunEvents(sdk, scope, self.clock, debug=debug)
        self._reached: set[str] = set()

    def reached(self, step: Step) -> bool:
        """Whether a step that was done leads to this one."""
        return step.id in self._reached

    async def do(self, step: Step) -> None:
        """Do a step and record what it gave; raises `StepFailedError` that names the step."""
        await self._do(step)

    async def finish(self, step: Step) -> Any:
        """Do a Finish step; returns the result of the graph."""
        return (await self._do(step)).outputs

    async def _do(self, step: Step) -> Outcome:
        try:
            inputs = step.resolve(self)
            started_at_ms = await self.events.step_started(step, inputs)
            try:
                outcome = await step.perform(self, inputs)
            except StepFailedError as error:
                await self.events.step_ended(step, started_at_ms, {"_error": True, "error": error.details})
                raise
        except StepFailedError as error:
            raise error.located(stepId=step.id, stepName=step.name) from error.__cause__
        record = {
            "stepId": step.id,
            "stepName": step.display_name,
            "stepType": step.step_type,
            "outputs": outcome.outputs,
            **outcome.extras,
        }
        self.records[step.id] = record
        self._reached.update(outcome.follow)
        await self.events.step_ended(step, started_at_ms, step.traced_outputs(outcome, record))
        return outcome
