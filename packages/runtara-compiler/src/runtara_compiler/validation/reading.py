"""What a graph reads: every path in its steps, its edges and its templates, and where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtara_compiler.language.graph import WhileStep
from runtara_compiler.language.mapping import Reference, Template
from runtara_compiler.language.paths import Segment, parse_path
from runtara_compiler.language.steps import BaseStep, FilterStep
from runtara_compiler.language.walk import ValueUse, leaves, values_of
from runtara_compiler.validation.scope import ERROR_ROOTS, GraphScope


@dataclass(frozen=True, slots=True)
class PathUse:
    """One path.

    Attributes:
        step_id: the step that reads, or that the reading edge leaves.
        place: where the path stands, inside the step or, for an edge, inside the graph.
        path: the path as it is written.
        roots: the roots that exist there.
        has_default: whether something stands in for what is missing.
        on_edge: whether the condition of an edge reads it, so after the step.
        in_template: whether a template reads it.
    """

    step_id: str
    place: tuple[Segment, ...]
    path: str
    roots: frozenset[str]
    has_default: bool = False
    on_edge: bool = False
    in_template: bool = False

    def segments(self) -> tuple[Segment, ...]:
        """The parsed path; raises `PathSyntaxError`."""
        return parse_path(self.path)


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """A template and where it stands."""

    step_id: str
    place: tuple[Segment, ...]
    text: str


def paths_of(scope: GraphScope) -> Iterator[PathUse]:
    """The paths of all references, in the order of steps and edges; those of templates are found by their rules."""
    handlers = scope.handler_steps()
    for step_id, step in scope.graph.steps.items():
        for use in values_of(step):
            if isinstance(use.value, Reference):
                roots = roots_at(scope, step, use, in_handler=step_id in handlers)
                yield PathUse(step_id, use.place, use.value.value, roots, use.value.has_default)
    for index, edge in enumerate(scope.graph.execution_plan):
        if edge.condition is None:
            continue
        may_read_error = edge.is_handler or edge.from_step in handlers
        roots = scope.roots | ERROR_ROOTS if may_read_error else scope.roots
        for place, leaf in leaves(edge.condition, ("executionPlan", index, "condition")):
            if isinstance(leaf, Reference):
                yield PathUse(edge.from_step, place, leaf.value, roots, leaf.has_default, on_edge=True)


def templates_of(scope: GraphScope) -> Iterator[tuple[TemplateUse, frozenset[str]]]:
    """The templates of all steps, and the roots that exist there."""
    handlers = scope.handler_steps()
    for step_id, step in scope.graph.steps.items():
        for use in values_of(step):
            if isinstance(use.value, Template):
                roots = roots_at(scope, step, use, in_handler=step_id in handlers)
                yield TemplateUse(step_id, use.place, use.value.value), roots


def roots_at(scope: GraphScope, step: BaseStep, use: ValueUse, *, in_handler: bool) -> frozenset[str]:
    """The roots that a value of a step may read."""
    roots = scope.roots | ERROR_ROOTS if in_handler else scope.roots
    if isinstance(step, FilterStep) and use.place[:2] == ("config", "condition"):
        return roots | {"item"}
    return roots | {"loop"} if isinstance(step, WhileStep) else roots
