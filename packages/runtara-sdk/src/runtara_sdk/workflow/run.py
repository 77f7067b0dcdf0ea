"""One run of a graph: its data, the records of the steps done, and which steps have been reached.

Steps are done in the order in which the generated graph names them. Each step that was done says which steps follow;
those are *reached*, and a step that was not reached is passed over. A failed step with a handler makes the handler the
only step that is reached: what else waited is given up, and the run goes on from there, with the error in the roots
`__error` and `error`. When no Finish is met on that way, the error ends the run after all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from runtara_sdk.workflow.connections import ConnectionRequest
from runtara_sdk.workflow.edges import taken
from runtara_sdk.workflow.events import RunEvents
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.retry import DurableCalls
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.surroundings import Surroundings
from runtara_sdk.workflow.time_limit import TimeLimit

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk
    from runtara_sdk.workflow.breakpoints import Breakpoints

_INHERITED_ROOTS = ("loop", "item", "iteration")


class Run:
    """State of one graph run.

    Attributes:
        sdk: the instance that the run belongs to.
        scope: place of the run; makes its checkpoint keys.
        records: step id to record, `{stepId, stepName, stepType, outputs, ...}`.
        roots: what references read: `data`, `variables`, `steps`, `scenario`, `workflow`, and in bodies and handlers
            `loop`, `item`, `iteration`, `error`, `__error`.
        calls: does what is done once, whatever happens to the process.
        events: sends log lines and debug events.
        surroundings: time, capabilities and children.
        clock: the source of time.
        limit: the soonest end that an enclosing step sets to this run, if any.
        is_root: whether this is the graph of the scenario itself, or a body within it, rather than a child's.
        connection_service_url: where connections are fetched, unless the environment says another place.
        breakpoints: stops before the steps that ask for it; None outside of debug mode.
    """

    def __init__(
        self,
        sdk: RuntaraSdk,
        scope: Scope,
        *,
        data: Any,
        variables: Mapping[str, Any],
        roots: Mapping[str, Any] | None = None,
        debug: bool = False,
        surroundings: Surroundings | None = None,
        calls: DurableCalls | None = None,
        limit: TimeLimit | None = None,
        is_root: bool = True,
        connection_service_url: str | None = None,
        breakpoints: Breakpoints | None = None,
    ) -> None:
        self.sdk = sdk
        self.scope = scope
        self.records: dict[str, dict[str, Any]] = {}
        inputs = {"data": data, "variables": dict(variables)}
        self.roots: dict[str, Any] = {
            **(roots or {}),
            **inputs,
            "steps": self.records,
            "scenario": {"inputs": inputs},
            "workflow": {"inputs": inputs},
        }
        self.surroundings = surroundings or Surroundings()
        self.clock = self.surroundings.clock
        self.calls = calls or DurableCalls(sdk)
        self.limit = limit
        self.is_root = is_root
        self.connection_service_url = connection_service_url
        self.breakpoints = breakpoints
        self.debug = debug
        self.events = RunEvents(sdk, scope, self.clock, debug=debug)
        self._reached: set[str] = set()
        self._handled: StepFailedError | None = None

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables of this run, the built-in ones included."""
        variables: Mapping[str, Any] = self.roots["variables"]
        return variables

    def inner(
        self,
        scope: Scope,
        *,
        data: Any,
        variables: Mapping[str, Any],
        roots: Mapping[str, Any] | None = None,
        limit: TimeLimit | None = None,
    ) -> Run:
        """The run of a body: it sees the loops around it, but none of the records of this run."""
        inherited = {name: self.roots[name] for name in _INHERITED_ROOTS if name in self.roots}
        return Run(
            self.sdk,
            scope,
            data=data,
            variables=variables,
            roots={**inherited, **(roots or {})},
            debug=self.debug,
            surroundings=self.surroundings,
            calls=self.calls,
            limit=_soonest(self.limit, limit),
            is_root=self.is_root,
            connection_service_url=self.connection_service_url,
            breakpoints=self.breakpoints,
        )

    def child(self, scope: Scope, *, data: Any, variables: Mapping[str, Any], limit: TimeLimit | None = None) -> Run:
        """The run of a child scenario: it sees nothing of this run."""
        return Run(
            self.sdk,
            scope,
            data=data,
            variables=variables,
            debug=self.debug,
            surroundings=self.surroundings,
            calls=self.calls,
            limit=_soonest(self.limit, limit),
            is_root=False,
            connection_service_url=self.connection_service_url,
            breakpoints=self.breakpoints,
        )

    async def connection(self, connection_id: str, *, tag: str, step_id: str) -> dict[str, Any]:
        """What the connection service says of a connection; raises `StepFailedError`."""
        return await self.surroundings.connection(self.connection_request(connection_id, tag=tag, step_id=step_id))

    def connection_request(self, connection_id: str, *, tag: str, step_id: str) -> ConnectionRequest:
        """What is asked of the connection service."""
        return ConnectionRequest(
            base_url=self.connection_service_url,
            tenant_id=self.sdk.tenant_id,
            connection_id=connection_id,
            tag=tag,
            step_id=step_id,
            scenario_id=str(self.variables.get("_scenario_id", "")).partition("::")[0],
            instance_id=self.sdk.instance_id,
            token=self.sdk.settings.instance_token,
        )

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
        if step.breakpoint and self.breakpoints is not None:
            await self.breakpoints.stop_before(step, self)
        inputs = step.resolve(self)
        started_at_ms = await self.events.step_started(step, inputs)
        try:
            outcome = await step.perform(self, inputs)
        except StepFailedError as failure:
            await self.events.step_ended(step, started_at_ms, step.traced_failure(failure))
            raise
        record = {
            "stepId": step.id,
            "stepName": step.display_name,
            "stepType": step.step_type,
            "outputs": outcome.outputs,
            **outcome.extras,
        }
        self.records[step.id] = record
        await self.events.step_ended(step, started_at_ms, step.traced_outputs(outcome, record))
        return outcome


GraphFunction = Callable[[Run], Awaitable[Any]]
"""Does the steps of a graph on a run; returns what the Finish step that it reached gave, else None."""


def _followers(step: Step, outcome: Outcome, roots: dict[str, Any]) -> tuple[str, ...]:
    return tuple(target for edges in step.edges(outcome) for target in taken(edges, roots))


def _soonest(outer: TimeLimit | None, inner: TimeLimit | None) -> TimeLimit | None:
    if outer is None or inner is None:
        return inner or outer
    return min(outer, inner, key=lambda limit: limit.ends_at_ms)
