"""While: a body as long as a condition holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import Count, LanguageModel, Milliseconds
from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.mapping import InputMapping
from runtara_compiler.language.shapes import LEAF, UNKNOWN, Shape, record
from runtara_compiler.language.steps.base import BaseStep

if TYPE_CHECKING:
    from runtara_compiler.language.scenario import ExecutionGraph

DEFAULT_MAX_ITERATIONS = 10


class WhileConfig(LanguageModel):
    """Bounds of the loop, and further variables of its body."""

    max_iterations: Count = DEFAULT_MAX_ITERATIONS
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    variables: InputMapping = Field(default_factory=dict)


class WhileStep(BaseStep):
    """Runs its subgraph as long as the condition holds, which sees `loop` = {index, outputs of the pass before}."""

    output_shape: ClassVar[Shape] = record(iterations=LEAF, outputs=UNKNOWN)
    record_extras: ClassVar[frozenset[str]] = frozenset({"iterations"})

    step_type: Literal["While"] = "While"
    condition: Condition
    subgraph: ExecutionGraph
    config: WhileConfig = Field(default_factory=lambda: WhileConfig.model_validate({}))
