"""Switch: the output of the first case that matches, and its route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.edges import Edges
from runtara_sdk.workflow.mapping import Value, immediate
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.switch_matching import match_case

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext

DEFAULT_ROUTE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case: how the value is compared with what, what it gives, and the route that it takes."""

    match_type: str
    match: Value
    output: Value
    route: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStep(Step):
    """Compares `value` with each case in turn; the first that matches gives output and route.

    Attributes:
        value: what is compared.
        cases: the cases, in order.
        default: the output when none matches.
        is_routing: whether a case has a route, so that the step branches.
        routes: route to the edges with that label.
    """

    step_type: ClassVar[str] = "Switch"

    value: Value
    cases: tuple[Case, ...] = ()
    default: Value = field(default_factory=lambda: immediate({}))
    is_routing: bool = False
    routes: Mapping[str, Edges] = field(default_factory=dict)

    def resolve(self, run: RunContext) -> Any:
        return self.value.resolve(run.roots)

    async def perform(self, run: RunContext, inputs: Any) -> Outcome:
        output, route = self.default, None
        for case in self.cases:
            if match_case(case.match_type, inputs, case.match.resolve(run.roots)):
                output, route = case.output, case.route
                break
        branch = (route or DEFAULT_ROUTE) if self.is_routing else None
        return Outcome(output.resolve(run.roots), branch, {} if branch is None else {"route": branch})

    def edges(self, outcome: Outcome) -> tuple[Edges, ...]:
        return self.then, self.routes.get(outcome.branch or "", ())

    def traced_inputs(self, inputs: Any) -> Any:
        return {"value": inputs, "cases": len(self.cases)}
