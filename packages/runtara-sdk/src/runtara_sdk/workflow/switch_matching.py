"""How a Switch compares its value with a case."""

from __future__ import annotations

from typing import Any

from runtara_sdk.workflow.conditions import immediate_operation


def match_case(match_type: str, value: Any, match: Any) -> bool:
    """Whether `value` matches a case."""
    if match_type == "EQ" and isinstance(match, list):
        return bool(immediate_operation("IN", value, match)) or bool(immediate_operation("EQ", value, match))
    if match_type == "BETWEEN":
        return isinstance(match, list) and len(match) == 2 and _in_range(value, {"gte": match[0], "lte": match[1]})
    if match_type == "RANGE":
        return isinstance(match, dict) and _in_range(value, match)
    return bool(immediate_operation(match_type, value, match))


def _in_range(value: Any, bounds: dict[str, Any]) -> bool:
    return all(immediate_operation(name.upper(), value, bound) for name, bound in bounds.items())
