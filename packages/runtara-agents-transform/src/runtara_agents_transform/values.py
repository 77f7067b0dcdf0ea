"""What the capabilities share about JSON values: equality, texts, order, and refusals that name what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtara_sdk.agents import AgentError, KnownError
from runtara_sdk.written_decimal import dump_json, exact_number, read_decimal

from runtara_agents_transform.paths import json_type

INVALID_INPUT = "TRANSFORM_INVALID_INPUT"
INPUT_ERROR = KnownError.permanent(INVALID_INPUT, "An input is of the wrong type.", "input", "received_type")

_SHOWN = 80


def refuse(name: str, wanted: str, value: Any) -> AgentError:
    """The error of an input that is not what is wanted; it names the type that was found."""
    found = json_type(value)
    return AgentError.permanent(
        INVALID_INPUT, f"{name} must be {wanted}, not {found}", attributes={"input": name, "received_type": found}
    )


def array(name: str, value: Any) -> list[Any]:
    """An input that must be an array."""
    if not isinstance(value, list):
        raise refuse(name, "an array", value)
    return value


def identity(value: Any) -> str:
    """A text that equal JSON values share, and no others: 1 and 1.0 are one number, true is none."""
    return dump_json(_normal(value), sort_keys=True, separators=(",", ":"))


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal."""
    return identity(left) == identity(right)


def as_text(value: Any) -> str:
    """Texts as they are, everything else as compact JSON."""
    return value if isinstance(value, str) else dump_json(value, ensure_ascii=False, separators=(",", ":"))


def shown(value: Any) -> str:
    """A value for a message."""
    text = as_text(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def is_blank(value: Any) -> bool:
    """Whether a value is a text of white space at most."""
    return isinstance(value, str) and not value.strip()


def is_zero(value: Any) -> bool:
    """Whether a value is the number 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def order_of(values: list[Any]) -> Callable[[Any], Any]:
    """The sort key that fits values other than null: numbers, texts and booleans by value, mixed ones by their JSON."""
    kinds = {json_type(value) for value in values}
    if kinds <= {"number"} or kinds <= {"string"} or kinds <= {"boolean"}:
        return lambda value: value
    return lambda value: dump_json(value, sort_keys=True, ensure_ascii=False)


def _normal(value: Any) -> Any:
    if isinstance(value, float):
        exact = exact_number(value)
        return int(exact) if exact == exact.to_integral_value() else read_decimal(str(exact.normalize()))
    if isinstance(value, dict):
        return {key: _normal(item) for key, item in value.items()}
    return [_normal(item) for item in value] if isinstance(value, list) else value
