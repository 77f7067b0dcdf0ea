"""Whether an input fits a scenario: asked by a program when it begins, and by an environment before a launch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.workflow.envelope import RunInput, parse_input
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.value_schema import Schema, checked, require_fitting

INVALID_INPUT = "INVALID_INPUT"
_WHAT, _ROOT = "the input", "data"


def fitting_data(declared: Schema, run_input: RunInput) -> dict[str, Any]:
    """The data of a run, completed with defaults; raises `StepFailedError` that lists all that does not fit."""
    data: dict[str, Any] = checked(declared, run_input.data, code=INVALID_INPUT, what=_WHAT, root=_ROOT)
    return data


def find_misfit(text: bytes, schema_document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error object with which a program would refuse an input, or None when it would take it.

    Args:
        text: the input as JSON text.
        schema_document: the `inputSchema` of the scenario.

    Raises `ValueError`, `TypeError`, `LookupError` or `AttributeError` when the schema is none of this version.
    """
    declared = Schema.from_json(schema_document)
    try:
        # Defaults are the program's business: filled into each element of a list, they cost more than the check.
        data = parse_input(text, _WHAT).data
        require_fitting(declared, data, code=INVALID_INPUT, what=_WHAT, root=_ROOT)
    except InvalidInputError as error:
        return StepFailedError(INVALID_INPUT, error.message).details
    except StepFailedError as failure:
        return failure.details
    return None
