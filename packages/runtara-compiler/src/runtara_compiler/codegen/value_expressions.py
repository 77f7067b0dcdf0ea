"""From values and conditions of the language to expressions over the run-time library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from runtara_compiler.codegen.expressions import Expression, Items, Literal, Table, Texts, call
from runtara_compiler.language import (
    Composite,
    Edge,
    Immediate,
    InputMapping,
    Operation,
    Reference,
    SchemaField,
    Template,
    ValueCondition,
)


def mapping_expression(mapping: InputMapping) -> Table:
    """An input mapping."""
    return Table(tuple((name, value_expression(value)) for name, value in mapping.items()))


def value_expression(value: Any) -> Expression:
    """A mapping value or a condition."""
    for model, build in _BUILDERS.items():
        if isinstance(value, model):
            return build(value)
    raise TypeError(f"no code is generated for {type(value).__name__}")


def schema_literal(fields: dict[str, SchemaField]) -> Literal:
    """A schema in its JSON form, without what is only of documents."""
    return Literal(schema_json(fields))


def schema_json(fields: dict[str, SchemaField]) -> dict[str, Any]:
    """A schema in its JSON form."""
    return {name: field.model_dump(by_alias=True, exclude_unset=True) for name, field in fields.items()}


def edges_expression(edges: tuple[Edge, ...], *, only_first: bool = False) -> Expression:
    """Where a group of edges leads; `only_first` keeps one of those without a condition."""
    plain = [edge.to_step for edge in edges if edge.condition is None]
    if only_first:
        plain = plain[:1]
    conditional = sorted((edge for edge in edges if edge.condition is not None), key=lambda edge: -edge.priority)
    if not conditional:
        return Texts(tuple(plain))
    cases = (Items((value_expression(edge.condition), Literal(edge.to_step))) for edge in conditional)
    return _choice(cases, plain)


def _choice(cases: Iterable[Expression], plain: list[str]) -> Expression:
    otherwise: dict[str, Expression] = {"otherwise": Texts(tuple(plain))} if plain else {}
    return call("choose", *cases, **otherwise)


def _reference(value: Reference) -> Expression:
    fields: dict[str, Expression] = {}
    if value.type is not None:
        fields["type"] = Literal(value.type.value)
    if value.default is not None:
        fields["default"] = Literal(value.default)
    return call("reference", Literal(value.value), **fields)


def _composite(value: Composite) -> Expression:
    if isinstance(value.value, dict):
        return call("composite", mapping_expression(value.value))
    return call("composite", Items(tuple(map(value_expression, value.value)), brackets="[]"))


_BUILDERS: dict[type, Callable[[Any], Expression]] = {
    Reference: _reference,
    Immediate: lambda value: call("immediate", Literal(value.value)),
    Composite: _composite,
    Template: lambda value: call("template", Literal(value.value)),
    Operation: lambda value: call(
        "operation", Literal(value.op.value), *(value_expression(argument) for argument in value.arguments)
    ),
    ValueCondition: lambda value: call("truth", value_expression(value.mapping_value)),
}
