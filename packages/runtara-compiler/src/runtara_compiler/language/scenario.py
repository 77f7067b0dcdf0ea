"""The scenario document: the wrapper, its graph, and what a graph declares."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from runtara_compiler.language.base import MAXIMUM_INTEGER, Constant, Count, LanguageModel, Milliseconds, Sequence
from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.schema import FieldType, SchemaMap
from runtara_compiler.language.steps import SplitStep, Step, WaitForSignalStep, WhileStep

LANGUAGE_VERSION = "3.0.0"

NORMAL_LABELS = frozenset({"next"})
ERROR_LABEL = "onError"


class MemoryTier(StrEnum):
    """A hint of how much memory a run needs; kept, nothing applies it."""

    S = "S"
    M = "M"
    L = "L"
    XL = "XL"


class Variable(LanguageModel):
    """A constant with a default that the run input may override; `type` is documentation."""

    type: FieldType
    value: Constant
    description: str | None = None


class Edge(LanguageModel):
    """A transition between two steps.

    Attributes:
        label: None or `next` is normal flow, `true`/`false` leave a Conditional, a route leaves a routing Switch,
            `onError` leads to a handler.
        condition: the edge is taken only if it holds; of several with one label, the first that holds is taken.
        priority: higher first.
    """

    from_step: str
    to_step: str
    label: str | None = None
    condition: Condition | None = None
    priority: Annotated[int, Field(ge=-MAXIMUM_INTEGER, le=MAXIMUM_INTEGER)] = 0

    @property
    def is_normal(self) -> bool:
        """Whether the edge is taken whenever its source has run."""
        return not self.label or self.label in NORMAL_LABELS

    @property
    def is_handler(self) -> bool:
        """Whether the edge leads to a failure handler."""
        return self.label == ERROR_LABEL


class ExecutionGraph(LanguageModel):
    """Steps and the edges between them.

    Attributes:
        entry_point: id of the first step; empty when it is left out and cannot be inferred (E001).
        rate_limit_budget_ms: how long a run may wait for rate limits in all; of the scenario's own graph.
        durable: whether what the steps do is recorded, those of bodies included.
        notes, nodes, edges, positions: of the editor, opaque.
    """

    name: str | None = None
    description: str | None = None
    steps: dict[str, Step]
    entry_point: str = ""
    execution_plan: Sequence[Edge] = ()
    variables: dict[str, Variable] = Field(default_factory=dict)
    input_schema: SchemaMap = Field(default_factory=dict)
    output_schema: SchemaMap = Field(default_factory=dict)
    rate_limit_budget_ms: Milliseconds | None = None
    execution_timeout_seconds: Count | None = None
    durable: bool = True
    notes: Constant = None
    nodes: Constant = None
    edges: Constant = None
    positions: Constant = None


for _model in (SplitStep, WaitForSignalStep, WhileStep, ExecutionGraph):
    _model.model_rebuild(_types_namespace={"ExecutionGraph": ExecutionGraph})


class Scenario(LanguageModel):
    """A loaded scenario.

    Attributes:
        durable: whether anything is recorded; without it a run that is killed begins anew, children included.
        debug_mode: whether the run emits an event at the start and end of each step.
        origin: where the document came from, for messages; not part of the document.
        load_warnings: what loading noticed, old names for one; `validate` puts them into its report.
    """

    synonyms: ClassVar[dict[str, str]] = {"trackEvents": "debugMode"}
    execution_graph: ExecutionGraph
    memory_tier: Annotated[MemoryTier, Field(strict=False)] = MemoryTier.XL
    debug_mode: bool = False
    durable: bool = True
    origin: str = Field("scenario", exclude=True)
    load_warnings: tuple[Diagnostic, ...] = Field((), exclude=True)

    @property
    def name(self) -> str:
        """The graph's name, or an empty text."""
        return self.execution_graph.name or ""
