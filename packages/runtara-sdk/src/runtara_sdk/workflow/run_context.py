"""What a step meets of the run that does it: the data of its graph, the place, and the means to do its work.

The steps of a graph are done by `runtara_sdk.workflow.run.Run`, which is a context that also keeps the order of steps.
A step sees the context alone. For its body it asks the context for an inner one, and hands that to the graph.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from runtara_sdk.workflow.connections import ConnectionRequest
from runtara_sdk.workflow.events import RunEvents
from runtara_sdk.workflow.retry import DurableCalls
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.surroundings import Surroundings
from runtara_sdk.workflow.time_limit import TimeLimit

if TYPE_CHECKING:
    from runtara_sdk.instance import RuntaraSdk

_INHERITED_ROOTS = ("loop", "item", "iteration")

GraphFunction = Callable[[Any], Awaitable[Any]]
"""Does the steps of a graph on a `Run`; returns what the Finish step that it reached gave, else None.

The type of its argument is left open here, below `Run`: a step hands on what `inner` or `child` of its own context has
made, which is a run of the kind that does the step itself.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceContext:
    """What all graph runs of one instance share.

    Attributes:
        sdk: the instance.
        surroundings: time, capabilities and children.
        calls: does what is done once, whatever happens to the process.
        debug: whether each step emits an event at its start and end, and breakpoints count.
        connection_service_url: where connections are fetched, unless the environment says another place.
    """

    sdk: RuntaraSdk
    surroundings: Surroundings
    calls: DurableCalls
    debug: bool = False
    connection_service_url: str | None = None


class RunContext:
    """Data and means of one graph run.

    Attributes:
        instance: what it shares with the other runs of the instance.
        sdk: the instance that the run belongs to.
        scope: place of the run; makes its checkpoint keys.
        records: step id to record, `{stepId, stepName, stepType, outputs, ...}`.
        roots: what references read: `data`, `variables`, `steps`, `scenario`, `workflow`, and in bodies and handlers
            `loop`, `item`, `iteration`, `error`, `__error`.
        calls: does what is done once, whatever happens to the process.
        events: sends log lines and requests for answers.
        surroundings: time, capabilities and children.
        clock: the source of time.
        limit: the soonest end that an enclosing step sets to this run, if any.
        is_root: whether this is the graph of the scenario itself, or a body within it, rather than a child's.
    """

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
        self.instance = instance
        self.sdk = instance.sdk
        self.surroundings = instance.surroundings
        self.clock = instance.surroundings.clock
        self.calls = instance.calls
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
        self.limit = limit
        self.is_root = is_root
        self.events = RunEvents(self.sdk, self.clock)

    @property
    def variables(self) -> Mapping[str, Any]:
        """The variables of this run, the built-in ones included."""
        variables: Mapping[str, Any] = self.roots["variables"]
        return variables

    @property
    def transient_calls(self) -> DurableCalls:
        """The verbs of `calls` without any record, for steps that ask for no durability."""
        from runtara_sdk.workflow.transient_calls import TransientCalls  # most workflows have no such step

        return TransientCalls.instead_of(self.calls)

    def inner(
        self,
        scope: Scope,
        *,
        data: Any,
        variables: Mapping[str, Any],
        roots: Mapping[str, Any] | None = None,
        limit: TimeLimit | None = None,
    ) -> Self:
        """The run of a body: it sees the loops around it, but none of the records of this run."""
        inherited = {name: self.roots[name] for name in _INHERITED_ROOTS if name in self.roots}
        return type(self)(
            self.instance,
            scope,
            data=data,
            variables=variables,
            roots={**inherited, **(roots or {})},
            limit=_soonest(self.limit, limit),
            is_root=self.is_root,
        )

    def child(self, scope: Scope, *, data: Any, variables: Mapping[str, Any], limit: TimeLimit | None = None) -> Self:
        """The run of a child scenario: it sees nothing of this run."""
        return type(self)(
            self.instance, scope, data=data, variables=variables, limit=_soonest(self.limit, limit), is_root=False
        )

    async def connection(self, connection_id: str, *, tag: str, step_id: str) -> dict[str, Any]:
        """What the connection service says of a connection; raises `StepFailedError`."""
        return await self.surroundings.connection(self.connection_request(connection_id, tag=tag, step_id=step_id))

    def connection_request(self, connection_id: str, *, tag: str, step_id: str) -> ConnectionRequest:
        """What is asked of the connection service."""
        return ConnectionRequest(
            base_url=self.instance.connection_service_url,
            tenant_id=self.sdk.tenant_id,
            connection_id=connection_id,
            tag=tag,
            step_id=step_id,
            scenario_id=str(self.variables.get("_scenario_id", "")).partition("::")[0],
            instance_id=self.sdk.instance_id,
            token=self.sdk.settings.instance_token,
        )


def _soonest(outer: TimeLimit | None, inner: TimeLimit | None) -> TimeLimit | None:
    if outer is None or inner is None:
        return inner or outer
    return min(outer, inner, key=lambda limit: limit.ends_at_ms)
