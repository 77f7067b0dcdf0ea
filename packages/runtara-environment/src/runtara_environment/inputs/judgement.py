"""Whether an input may be started with: JSON, and, where the program tells what it takes, what fits its schema."""

from __future__ import annotations

import json
from typing import Any

from runtara_sdk.errors import InputRefusedError, InvalidInputError
from runtara_sdk.strict_json import parse_strict_json
from runtara_sdk.written_decimal import read_decimal


def require_acceptable(text: bytes, schema_json: str | None) -> None:
    """Refuse what no program could read, and what a program would refuse by its schema.

    Args:
        text: the input.
        schema_json: the input schema of the program, JSON; None when it tells none.

    Raises `InvalidInputError`, for what does not fit a schema `InputRefusedError`.
    """
    if schema_json is None:
        parse_strict_json(text, "the input")
        return
    from runtara_sdk.workflow.input_check import find_misfit  # what only some starts need must not slow the first one

    try:
        misfit = find_misfit(text, json.loads(schema_json, parse_float=read_decimal))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        # A schema of another version of the compiler: the program itself knows how to read it.
        parse_strict_json(text, "the input")
        return
    if misfit is not None:
        raise refusal(misfit)


def refusal(misfit: dict[str, Any]) -> InvalidInputError:
    """The refusal that an error object of a program describes."""
    violations = misfit.get("violations")
    if not violations:
        return InvalidInputError(misfit["message"])
    return InputRefusedError(misfit["message"], violations, misfit["violationCount"])
