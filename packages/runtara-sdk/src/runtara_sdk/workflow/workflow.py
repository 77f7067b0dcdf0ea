"""What a generated module defines: one workflow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtara_sdk.workflow.run import Run
    from runtara_sdk.workflow.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A compiled scenario.

    Attributes:
        id: scenario id; part of every checkpoint key.
        version: version of the scenario that was compiled.
        graph: runs the steps in order; returns the result of the Finish step that it reached, else None.
        steps: the steps of the graph, in execution order.
        name: name of the scenario, if it has one.
        variables: defaults of the variables; the run input overrides them by name.
        debug: emit an event at the start and the end of each step.
        compiler_version: version of the compiler that generated the module.
    """

    id: str
    version: int
    graph: Callable[[Run], Awaitable[Any]]
    steps: tuple[Step, ...]
    name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    debug: bool = False
    compiler_version: str = ""
