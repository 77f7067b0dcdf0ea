"""Filter: keeps the elements of an array for which a condition holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.conditions import is_true
from runtara_sdk.workflow.mapping import Value
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterStep(Step):
    """Evaluates `condition` for each element of `value`, as the root `item`; what is no array counts as empty."""

    step_type: ClassVar[str] = "Filter"

    value: Value
    condition: Value

    def resolve(self, run: RunContext) -> list[Any]:
        found = self.value.resolve(run.roots)
        return found if isinstance(found, list) else []

    async def perform(self, run: RunContext, inputs: list[Any]) -> Outcome:
        roots = dict(run.roots)
        kept = []
        for item in inputs:
            roots["item"] = item
            if is_true(self.condition.resolve(roots)):
                kept.append(item)
        return Outcome({"items": kept, "count": len(kept)})
