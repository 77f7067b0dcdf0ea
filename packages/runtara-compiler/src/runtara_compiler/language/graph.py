"""Graphs, and the steps that hold graphs of their own: the part of the language that contains itself.

A graph holds steps, and some of these hold graphs. Their models name each other, so they stand in one module.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field

from runtara_compiler.language.base import MAXIMUM_INTEGER, Constant, Count, LanguageModel, Milliseconds, Sequence
from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.schema import FieldType, SchemaMap
from runtara_compiler.language.shapes import LEAF, UNKNOWN, Shape, record
from runtara_compiler.language.steps import (
    AgentStep,
    BaseStep,
    ConditionalStep,
    ConnectionStep,
    DelayStep,
    ErrorStep,
    FilterStep,
    FinishStep,
    GroupByStep,
    LogStep,
    StartScenarioStep,
    SwitchStep,
)
from runtara_compiler.language.steps.split import SplitConfig
from runtara_compiler.language.steps.wait_for_signal import DEFAULT_POLL_INTERVAL_MS, WaitAction
from runtara_compiler.language.steps.while_loop import WhileConfig

NORMAL_LABELS = frozenset({"next"})
ERROR_LABEL = "onError"


class SplitStep(BaseStep):
    """Runs its subgraph with each element, or each batch of elements, as `data`.

    Attributes:
        input_schema: what each element must fit.
        output_schema: what each result must fit.
    """

    record_extras: ClassVar[frozenset[str]] = frozenset({"data", "stats", "hasFailures"})

    step_type: Literal["Split"] = "Split"
    config: SplitConfig
    subgraph: ExecutionGraph
    input_schema: SchemaMap = Field(default_factory=dict)
    output_schema: SchemaMap = Field(default_factory=dict)


class WhileStep(BaseStep):
    """Runs its subgraph as long as the condition holds, which sees `loop` = {index, outputs of the pass before}."""

    output_shape: ClassVar[Shape] = record(iterations=LEAF, outputs=UNKNOWN)
    record_extras: ClassVar[frozenset[str]] = frozenset({"iterations"})

    step_type: Literal["While"] = "While"
    condition: Condition
    subgraph: ExecutionGraph
    config: WhileConfig = Field(default_factory=lambda: WhileConfig.model_validate({}))


class WaitForSignalStep(BaseStep):
    """Asks, and waits durably for the answer.

    Attributes:
        on_wait: graph that runs once before the question is asked.
        timeout_ms: bound of the wait; without one it has no end.
        poll_interval_ms: kept for the editor; the program is told of the answer at once.
        response_schema: what the answer must fit.
        action: what the request says beside that, for whoever lists and answers requests.
    """

    record_extras: ClassVar[frozenset[str]] = frozenset({"signal_id"})

    step_type: Literal["WaitForSignal"] = "WaitForSignal"
    on_wait: ExecutionGraph | None = None
    timeout_ms: MappingValue | None = None
    poll_interval_ms: Milliseconds = DEFAULT_POLL_INTERVAL_MS
    response_schema: SchemaMap = Field(default_factory=dict)
    action: WaitAction | None = None


Step: TypeAlias = Annotated[
    AgentStep
    | ConditionalStep
    | ConnectionStep
    | DelayStep
    | ErrorStep
    | FilterStep
    | FinishStep
    | GroupByStep
    | LogStep
    | SplitStep
    | StartScenarioStep
    | SwitchStep
    | WaitForSignalStep
    | WhileStep,
    Field(discriminator="step_type"),
]


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


for _model in (SplitStep, WaitForSignalStep, WhileStep):
    _model.model_rebuild()
