"""Conditional: follows one of two branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.conditions import is_true
from runtara_sdk.workflow.edges import Edges
from runtara_sdk.workflow.mapping import Value
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalStep(Step):
    """Evaluates `condition`; `if_true` or `if_false` name the steps that follow."""

    step_type: ClassVar[str] = "Conditional"

    condition: Value
    if_true: Edges = ()
    if_false: Edges = ()

    def resolve(self, run: RunContext) -> bool:
        return is_true(self.condition.resolve(run.roots))

    async def perform(self, run: RunContext, inputs: bool) -> Outcome:  # noqa: FBT001
        return Outcome({"result": inputs})

    def edges(self, outcome: Outcome) -> tuple[Edges, ...]:
        return self.then, self.if_true if outcome.outputs["result"] else self.if_false

    def traced_inputs(self, inputs: Any) -> Any:
        return {"condition": "evaluating"}
