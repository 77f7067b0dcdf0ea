"""Conditions of the workflow language as inputs of capabilities: which items of a list, which rows, whether to go on.

    {"type": "operation", "op": "GT", "arguments": [
        {"valueType": "reference", "value": "item.quantity"}, {"valueType": "immediate", "value": 10}]}

References read the value that is judged: as `item`, and, where it is an object, its members by their names. A scenario
passes a condition as an immediate value, so that nothing in it is read before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import WithJsonSchema

from runtara_sdk.agents.errors import AgentError
from runtara_sdk.workflow.conditions import OPERATORS, operation, truth
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.mapping import Value, composite, immediate, reference
from runtara_sdk.workflow.paths import PathError, parse_path

CONDITION_INVALID = "CONDITION_INVALID"

_DEEPEST = 50

ConditionInput = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "format": "condition",
            "description": "A condition of the workflow language: {type: operation, op, arguments}, or {type: value, "
            "mappingValue}. References read `item`, and the members of an item that is an object.",
        }
    ),
]
"""Type of an input that is a condition."""

Judge = Callable[[Any], bool]
"""Whether a condition holds for a value; raises `AgentError` (CONDITION_INVALID) for what cannot be judged."""


def read_condition(document: Mapping[str, Any], name: str) -> Judge:
    """The condition that an input holds.

    Args:
        document: its JSON.
        name: of the input, for messages.

    Raises:
        AgentError: permanent CONDITION_INVALID, naming the place in the input.
    """
    condition = _condition(document, name, 0)

    def holds(item: Any) -> bool:
        roots = {**item, "item": item} if isinstance(item, dict) else {"item": item}
        try:
            return bool(condition.resolve(roots))
        except StepFailedError as failure:
            raise _invalid(name, failure.details.get("message", str(failure))) from None

    return holds


def _condition(document: Any, place: str, depth: int) -> Value:
    if depth > _DEEPEST:
        raise _invalid(place, f"it is nested deeper than {_DEEPEST} levels")
    kind = document.get("type") if isinstance(document, Mapping) else None
    if kind == "operation":
        name, arguments = document.get("op"), document.get("arguments", [])
        if name not in OPERATORS:
            raise _invalid(f"{place}.op", f"it must be one of {', '.join(sorted(OPERATORS))}")
        if not isinstance(arguments, list):
            raise _invalid(f"{place}.arguments", "it must be an array")
        read = [_argument(item, f"{place}.arguments[{index}]", depth + 1) for index, item in enumerate(arguments)]
        return operation(name, *read)
    if kind == "value":
        value = document.get("mappingValue", document.get("mapping_value"))
        return truth(_mapped(value, f"{place}.mappingValue", depth + 1))
    raise _invalid(place, "it must be an object with the type 'operation' or 'value'")


def _argument(document: Any, place: str, depth: int) -> Value:
    is_condition = isinstance(document, Mapping) and document.get("type") in ("operation", "value")
    return _condition(document, place, depth) if is_condition else _mapped(document, place, depth)


def _mapped(document: Any, place: str, depth: int) -> Value:
    if depth > _DEEPEST:
        raise _invalid(place, f"it is nested deeper than {_DEEPEST} levels")
    kind = document.get("valueType", document.get("value_type")) if isinstance(document, Mapping) else None
    if kind == "immediate":
        return immediate(document.get("value"))
    if kind == "reference":
        path = document.get("value")
        try:
            parse_path(path if isinstance(path, str) else "")
        except PathError as error:
            raise _invalid(f"{place}.value", str(error)) from None
        return reference(path, type=document.get("type"), default=document.get("default"))
    if kind == "composite":
        parts = document.get("value")
        if isinstance(parts, Mapping):
            return composite({key: _mapped(item, f"{place}.value.{key}", depth + 1) for key, item in parts.items()})
        if isinstance(parts, list):
            return composite([_mapped(item, f"{place}.value[{at}]", depth + 1) for at, item in enumerate(parts)])
        raise _invalid(f"{place}.value", "it must be an object or an array")
    raise _invalid(place, "it must be an object with the valueType 'reference', 'immediate' or 'composite'")


def _invalid(place: str, reason: str) -> AgentError:
    return AgentError.permanent(CONDITION_INVALID, f"{place}: {reason}", attributes={"place": place})
