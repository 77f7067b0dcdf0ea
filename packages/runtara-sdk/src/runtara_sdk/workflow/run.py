"""One run of a graph: its data, the records of the steps done, and which steps have been reached.

Steps are done in the order in which the generated graph names them. Each step that was done says which steps follow;
those are *reached*, and a step that was not reached is passed over. A failed step with a handler makes the handler the
only step that is reached: what else waited is given up, and the run goes on from there, with the error in the roots
`__error` and `error`. When no Finish is met on that way, the error ends the run after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from runtara_sdk.workflow.edges import taken
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.run_context import InstanceContext, RunContext
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.time_limit import TimeLimit

if TYPE_CHECKING:
    from runtara_sdk.workflow.step_trace import StepTrace


class Run(RunContext):
    """One graph run: what its steps see, and which of them have been done and reached."""

    def __init__(
        self,
        instance: InstanceContext,
        scope: Scope,
        *,
        data: Any,
        variables: Mapping[str, Any],
        roots: Mapping[str, Any] | None = None,
        limit: TimeLimit | None = None,
        is_root: bool = True,
    ) -> None:
        super().__init__(instance, scope, data=data, variables=variables, roots=roots, limit=limit, is_root=is_root)
        self._trace: StepTrace | None = None
        if instance.debug:
            from runtara_sdk.workflow.step_trace import StepTrace  # most programs have no debug mode

            self._trace = StepTrace(self.events, scope, self.clock)
        self._reached: set[str] = set()
        self._handled: StepFailedError | None = None

    def reached(self, step: Step) -> bool:
        """Whether a step that was done leads to this one."""
        return step.id in self._reached

    async def do(self, step: Step) -> None:
        """Do a step and record what it gave; its failure goes to its handler, or is raised and names the step."""
        is_recorded = step.is_durable and step.on_error != ()
        if is_recorded and (handled := await step.calls(self).handled_failure(self._failure_key(step))) is not None:
            self._take_handler(handled, self._handlers_of(step, handled))
            return
        try:
            outcome = await self._do(step)
            self._reached.update(_followers(step, outcome, self.roots))
        except StepFailedError as failure:
            failure.located(stepId=step.id, stepName=step.name)
            handlers = self._handlers_of(step, failure)
            if not handlers:
                raise self._unhandled(failure) from failure.__cause__
            if is_recorded:
                # Else a later run would do the step anew, and might go on where this one has gone to the handler.
                await step.calls(self).record_handled_failure(self._failure_key(step), failure)
            self._take_handler(failure, handlers)

    async def finish(self, step: Step) -> Any:
        """Do a Finish step; returns the result of the graph."""
        try:
            return (await self._do(step)).outputs
        except StepFailedError as failure:
            raise self._unhandled(failure.located(stepId=step.id, stepName=step.name)) from failure.__cause__

    def end(self) -> None:
        """The end of a graph without a Finish: raises the error whose handler led here, if one did."""
        if self._handled is not None:
            raise self._handled

    def _failure_key(self, step: Step) -> str:
        return self.scope.key("handled", step.id)

    def _handlers_of(self, step: Step, failure: StepFailedError) -> tuple[str, ...]:
        """The handlers that apply; their conditions see the error."""
        if not step.on_error:
            return ()
        roots = {**self.roots, **self._error_roots(failure)}
        roots["steps"] = {**self.records, **self._error_records(failure)}
        return taken(step.on_error, roots)

    def _take_handler(self, failure: StepFailedError, handlers: tuple[str, ...]) -> None:
        """Give up what else waited, and go on with the first handler."""
        records = self._error_records(failure)
        self.roots.update(self._error_roots(failure))
        self.records.update(records)
        self._reached = {handlers[0]}
        self._handled = failure

    @staticmethod
    def _error_roots(failure: StepFailedError) -> dict[str, Any]:
        return dict.fromkeys(("error", "__error"), failure.details)

    def _error_records(self, failure: StepFailedError) -> dict[str, dict[str, Any]]:
        earlier = None if self._handled is None else self._handled.details
        if self.records.get("error") is earlier:
            return self._error_roots(failure)
        return {"__error": failure.details}  # a step of the scenario has the other id

    def _unhandled(self, failure: StepFailedError) -> StepFailedError:
        """A failure that ends the graph; one in a handler names the error that the handler was for."""
        if self._handled is not None and not failure.replaces_others:
            failure.located(cause=self._handled.details)
        return failure

    async def _do(self, step: Step) -> Outcome:
        if self._trace is not None:
            return await self._do_traced(step, self._trace)
        return await self._perform(step, step.resolve(self))

    async def _do_traced(self, step: Step, trace: StepTrace) -> Outcome:
        if step.breakpoint and self.surroundings.stops_at_breakpoints:
            from runtara_sdk.workflow.breakpoints import stop_before

            await stop_before(step, self, trace)
        inputs = step.resolve(self)
        started_at_ms = await trace.step_started(step, inputs)
        try:
            outcome = await self._perform(step, inputs)
        except StepFailedError as failure:
            await trace.step_ended(step, started_at_ms, step.traced_failure(failure))
            raise
        await trace.step_ended(step, started_at_ms, step.traced_outputs(outcome, self.records[step.id]))
        return outcome

    async def _perform(self, step: Step, inputs: Any) -> Outcome:
        outcome = await step.perform(self, inputs)
        self.records[step.id] = {
            "stepId": step.id,
            "stepName": step.display_name,
            "stepType": step.step_type,
            "outputs": outcome.outputs,
            **outcome.extras,
        }
        return outcome


def _followers(step: Step, outcome: Outcome, roots: dict[str, Any]) -> tuple[str, ...]:
    return tuple(target for edges in step.edges(outcome) for target in taken(edges, roots))
