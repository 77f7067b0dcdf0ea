"""Conditions: operators over mapping values.

Too few arguments, unsuitable types and null never raise: they make the operator false (or what its row below says).
Text is measured and searched in characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from runtara_sdk.workflow.coercion import parse_number
from runtara_sdk.workflow.mapping import Roots, Value
from runtara_sdk.written_decimal import WrittenDecimal, exact_number

_TOLERANCE = 2.2e-16


def is_true(value: Any) -> bool:
    """Null, false, 0 and whatever is empty are false."""
    return bool(value)


def equal(left: Any, right: Any) -> bool:
    """Equality of JSON values; a number also equals the text that spells it, a boolean equals booleans only."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) and isinstance(right, int | float):
        return equal(right, left)
    if isinstance(left, int | float) and isinstance(right, str):
        parsed = parse_number(right)
        return parsed is not None and _numbers_equal(left, parsed)
    return _identical(left, right)


def _identical(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _numbers_equal(left, right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_identical, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_identical(left[key], right[key]) for key in left)
    return type(left) is type(right) and bool(left == right)


def _numbers_equal(left: float, right: float) -> bool:
    if WrittenDecimal in (type(left), type(right)):
        one, other = exact_number(left), exact_number(right)
        return one == other or abs(one - other) < _TOLERANCE
    if left == right:
        return True
    try:
        return abs(left - right) < _TOLERANCE
    except OverflowError:  # an integer that no double can hold, and a double
        return False


def _number(value: Any) -> int | float | None:
    if isinstance(value, int | float):  # booleans count as 1 and 0
        return value
    return parse_number(value) if isinstance(value, str) else None


def _compare(arguments: Sequence[Any], holds: Callable[[Any, Any], bool]) -> bool:
    if len(arguments) < 2:
        return False
    left, right = _number(arguments[0]), _number(arguments[1])
    if left is None or right is None:
        return False
    if WrittenDecimal in (type(left), type(right)):
        return holds(exact_number(left), exact_number(right))
    return holds(left, right)


def _texts(arguments: Sequence[Any], holds: Callable[[str, str], bool]) -> bool:
    match arguments:
        case [str(left), str(right), *_]:
            return holds(left, right)
    return False


def _contains(arguments: Sequence[Any]) -> bool:
    match arguments:
        case [list(elements), wanted, *_]:
            return any(equal(element, wanted) for element in elements)
        case [str(text), str(part), *_]:
            return part in text
    return False


def _is_in(arguments: Sequence[Any]) -> bool:
    match arguments:
        case [wanted, list(elements), *_]:
            return any(equal(element, wanted) for element in elements)
    return False


def _length(arguments: Sequence[Any]) -> int:
    if not arguments or arguments[0] is None:
        return 0
    return len(arguments[0]) if isinstance(arguments[0], str | list | dict) else 1


def _is_empty(arguments: Sequence[Any]) -> bool:
    return not arguments or arguments[0] is None or arguments[0] in ("", [], {})


_OPERATORS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "NOT": lambda a: not (a and is_true(a[0])),
    "EQ": lambda a: len(a) > 1 and equal(a[0], a[1]),
    "NE": lambda a: len(a) > 1 and not equal(a[0], a[1]),
    "GT": lambda a: _compare(a, lambda x, y: x > y),
    "GTE": lambda a: _compare(a, lambda x, y: x >= y),
    "LT": lambda a: _compare(a, lambda x, y: x < y),
    "LTE": lambda a: _compare(a, lambda x, y: x <= y),
    "STARTS_WITH": lambda a: _texts(a, str.startswith),
    "ENDS_WITH": lambda a: _texts(a, str.endswith),
    "CONTAINS": _contains,
    "IN": _is_in,
    "NOT_IN": lambda a: not _is_in(a),
    "LENGTH": _length,
    "IS_DEFINED": lambda a: bool(a) and a[0] is not None,
    "IS_EMPTY": _is_empty,
    "IS_NOT_EMPTY": lambda a: not _is_empty(a),
}

OPERATORS = frozenset(_OPERATORS) | {"AND", "OR"}
"""Every operator that a condition may use."""


@dataclass(frozen=True, slots=True)
class Operation(Value):
    """An operator and its arguments. As an argument itself it gives its boolean (`LENGTH`: its number)."""

    operator: str
    arguments: tuple[Value, ...]

    def resolve(self, roots: Roots) -> Any:
        if self.operator == "AND":
            return all(is_true(argument.resolve(roots)) for argument in self.arguments)
        if self.operator == "OR":
            return any(is_true(argument.resolve(roots)) for argument in self.arguments)
        return _OPERATORS[self.operator]([argument.resolve(roots) for argument in self.arguments])


@dataclass(frozen=True, slots=True)
class Truth(Value):
    """Whether a mapping value is true."""

    value: Value

    def resolve(self, roots: Roots) -> bool:
        return is_true(self.value.resolve(roots))


def operation(operator: str, *arguments: Value) -> Operation:
    """Apply `operator`, one of `OPERATORS`, to the arguments."""
    if operator not in OPERATORS:
        raise ValueError(f"unknown operator {operator!r}: use one of {', '.join(sorted(OPERATORS))}")
    return Operation(operator, arguments)


def truth(value: Value) -> Truth:
    """A condition that holds when the value is true."""
    return Truth(value)


def immediate_operation(operator: str, *arguments: Any) -> Any:
    """The result of an operator over JSON values."""
    return _OPERATORS[operator](arguments)
