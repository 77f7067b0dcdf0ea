"""Limits of a value in the words of JSON Schema, and what a constant says to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_Broken = Callable[[Any, Any], bool]

_OF_NUMBERS: dict[str, tuple[str, _Broken]] = {
    "minimum": ("must not be less than {}", lambda value, limit: value < limit),
    "exclusiveMinimum": ("must be greater than {}", lambda value, limit: value <= limit),
    "maximum": ("must not be greater than {}", lambda value, limit: value > limit),
    "exclusiveMaximum": ("must be less than {}", lambda value, limit: value >= limit),
}
_OF_TEXTS: dict[str, tuple[str, _Broken]] = {
    "minLength": ("must have at least {} characters", lambda value, limit: len(value) < limit),
    "maxLength": ("must have at most {} characters", lambda value, limit: len(value) > limit),
    "pattern": ("does not match {}", lambda value, limit: not _matches(limit, value)),
}
_OF_ARRAYS: dict[str, tuple[str, _Broken]] = {
    "minItems": ("must have at least {} elements", lambda value, limit: len(value) < limit),
    "maxItems": ("must have at most {} elements", lambda value, limit: len(value) > limit),
}


def broken_constraint(value: Any, constraints: Mapping[str, Any]) -> str | None:
    """What is wrong with a value, or None; limits for values of another type hold."""
    match value:
        case bool():
            return None
        case int() | float():
            rules = _OF_NUMBERS
        case str():
            rules = _OF_TEXTS
        case list():
            rules = _OF_ARRAYS
        case _:
            return None
    for name, (text, is_broken) in rules.items():
        limit = constraints.get(name)
        if limit is not None and is_broken(value, limit):
            return text.format(limit)
    return None


def _matches(pattern: Any, value: str) -> bool:
    try:
        return re.search(str(pattern), value) is not None
    except re.error:  # an agent's own mistake, which a run does not mind
        return True
