"""Walking over a step: all values, conditions and graphs in it, wherever its type keeps them.

Rules and code generation that concern every value use these, so that a new step type needs no change in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.conditions import ConditionArgument, Operation, ValueCondition
from runtara_compiler.language.graph import ExecutionGraph
from runtara_compiler.language.mapping import Composite, Immediate, Reference, Template
from runtara_compiler.language.paths import Segment
from runtara_compiler.language.schema import SchemaField
from runtara_compiler.language.steps import BaseStep

Place: TypeAlias = tuple[Segment, ...]
Leaf: TypeAlias = Reference | Immediate | Template

_VALUES = (Reference, Immediate, Template, Composite)


@dataclass(frozen=True, slots=True)
class ValueUse:
    """A value and where it stands: the field of the step that holds it, and the place inside the step."""

    field: str
    place: Place
    value: Leaf


@dataclass(frozen=True, slots=True)
class ConditionUse:
    """A condition and where it stands inside its step."""

    place: Place
    condition: Operation | ValueCondition


@dataclass(frozen=True, slots=True)
class GraphUse:
    """A graph inside a step, under the name of its field."""

    field: str
    graph: ExecutionGraph


def values_of(step: BaseStep) -> Iterator[ValueUse]:
    """Every reference, literal and template of a step, those in conditions and composites included."""
    for place, part in parts_of(step):
        for inner, leaf in leaves(part, place):
            yield ValueUse(str(place[0]), inner, leaf)


def conditions_of(step: BaseStep) -> Iterator[ConditionUse]:
    """Every condition of a step; nested ones are part of it."""
    for place, part in parts_of(step):
        if isinstance(part, Operation | ValueCondition):
            yield ConditionUse(place, part)


def graphs_of(step: BaseStep) -> Iterator[GraphUse]:
    """The graphs that a step runs; none for most."""
    for name, field in type(step).model_fields.items():
        graph = getattr(step, name)
        if isinstance(graph, ExecutionGraph):
            yield GraphUse(field.alias or name, graph)


def all_steps(graph: ExecutionGraph) -> Iterator[BaseStep]:
    """The steps of a graph and of all graphs inside it, outer ones first."""
    for step in graph.steps.values():
        yield step
        for use in graphs_of(step):
            yield from all_steps(use.graph)


def parts_of(model: LanguageModel, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """The outermost values and conditions of a part of a scenario, but none of the graphs inside it."""
    for name, field in type(model).model_fields.items():
        yield from _parts(getattr(model, name), (*place, field.alias or name))


def _parts(found: Any, place: Place) -> Iterator[tuple[Place, Any]]:
    if isinstance(found, (*_VALUES, Operation, ValueCondition)):
        yield place, found
    elif isinstance(found, ExecutionGraph | SchemaField):
        return
    elif isinstance(found, LanguageModel):
        yield from parts_of(found, place)
    elif isinstance(found, dict):
        for key, item in found.items():
            yield from _parts(item, (*place, key))
    elif isinstance(found, tuple):
        for index, item in enumerate(found):
            yield from _parts(item, (*place, index))


def leaves(value: ConditionArgument | Composite | Leaf, place: Place) -> Iterator[tuple[Place, Leaf]]:
    """The references, literals and templates that a value or a condition is made of."""
    if isinstance(value, Operation):
        for index, argument in enumerate(value.arguments):
            yield from leaves(argument, (*place, "arguments", index))
    elif isinstance(value, ValueCondition):
        yield from leaves(value.mapping_value, place)
    elif isinstance(value, Composite):
        items = value.value.items() if isinstance(value.value, dict) else enumerate(value.value)
        for key, item in items:
            yield from leaves(item, (*place, "value", key))
    else:
        yield place, value
