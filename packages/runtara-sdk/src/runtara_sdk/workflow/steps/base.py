"""What all steps have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.edges import Edges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtara_sdk.workflow.failures import StepFailedError
    from runtara_sdk.workflow.mapping import Value
    from runtara_sdk.workflow.retry import DurableCalls
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step that succeeded leaves behind.

    Attributes:
        outputs: JSON value, read as `steps.<id>.outputs`.
        branch: which of its labelled edges a branching step takes.
        extras: further members of the step's record, beside `outputs`.
    """

    outputs: Any
    branch: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(ABC):
    """One step of a graph.

    Attributes:
        id: unique in its graph; the name under which later steps read the record.
        name: display name, if given.
        then: where the edges without a label lead once this step has succeeded.
        on_error: where its `onError` edges lead; the first that applies handles a failure.
        durable: whether what the step itself does is recorded; the steps of its bodies decide for themselves.
        breakpoint: whether a run in debug mode stops before the step.
    """

    step_type: ClassVar[str]
    unnamed: ClassVar[str] = "Unnamed"
    is_traced: ClassVar[bool] = True
    """Whether debug mode emits events for this type of step."""
    is_durable: ClassVar[bool] = False
    """Whether the step does what a later run might do with another result: its handled failure is recorded."""
    is_container: ClassVar[bool] = False
    """Whether the step runs graphs of its own, and so has a scope of its own in debug events."""

    id: str
    name: str | None = None
    then: Edges = ()
    on_error: Edges = ()
    durable: bool = True
    breakpoint: bool = False

    def calls(self, run: RunContext) -> DurableCalls:
        """What does the work of this step once, or again and again where the step is not durable."""
        return run.calls if self.durable else run.transient_calls

    @property
    def display_name(self) -> str:
        """The name, or the stock name of its type."""
        return self.unnamed if self.name is None else self.name

    @property
    def input_mapping(self) -> Mapping[str, Value] | None:
        """Where the step's inputs come from, for debug events; None for steps without a mapping."""
        return None

    @abstractmethod
    def resolve(self, run: RunContext) -> Any:
        """Everything that the step takes from the run; raises `StepFailedError`."""

    @abstractmethod
    async def perform(self, run: RunContext, inputs: Any) -> Outcome:
        """Do the work with what `resolve` gave; raises `StepFailedError`."""

    def edges(self, outcome: Outcome) -> tuple[Edges, ...]:
        """The edges to follow after `outcome`."""
        return (self.then,)

    def traced_inputs(self, inputs: Any) -> Any:
        """What the debug event of the start shows as inputs."""
        return inputs

    def traced_outputs(self, outcome: Outcome, record: dict[str, Any]) -> Any:
        """What the debug event of the end shows as outputs."""
        return record

    def traced_failure(self, failure: StepFailedError) -> dict[str, Any]:
        """What the debug event of the end shows as outputs when the step failed."""
        return {"_error": True, "error": failure.details}
