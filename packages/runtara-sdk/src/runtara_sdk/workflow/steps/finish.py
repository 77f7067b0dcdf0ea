"""Finish: ends the graph with a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishStep(Step):
    """The mapped object is the result; an object that holds `outputs` alone stands for that value."""

    step_type: ClassVar[str] = "Finish"
    unnamed: ClassVar[str] = "Finish"

    result: Mapping[str, Value] = field(default_factory=dict)

    @property
    def input_mapping(self) -> Mapping[str, Value]:
        return self.result

    def resolve(self, run: RunContext) -> dict[str, Any]:
        return resolve_mapping(self.result, run.roots)

    async def perform(self, run: RunContext, inputs: dict[str, Any]) -> Outcome:
        return Outcome(inputs["outputs"] if inputs.keys() == {"outputs"} else inputs)

    def traced_inputs(self, inputs: Any) -> Any:
        return {"finishing": True}
