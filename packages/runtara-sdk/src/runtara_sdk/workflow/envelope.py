"""The input of a run and the variables that it starts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.strict_json import parse_strict_json

_ENVELOPE_KEYS = frozenset({"data", "variables"})


@dataclass(frozen=True, slots=True)
class RunInput:
    """`data` of the root graph, and the variables that override the scenario's defaults."""

    data: dict[str, Any]
    variables: dict[str, Any]


def read_input(reader: EnvironmentReader) -> RunInput:
    """The input in the file named by RUNTARA_INPUT_PATH, else in INPUT_JSON, else none.

    Raises `InvalidInputError` naming the source.
    """
    path = reader.optional_text("RUNTARA_INPUT_PATH")
    if path is not None:
        try:
            return parse_input(Path(path).read_bytes(), f"the input file {path}")
        except OSError as error:
            raise InvalidInputError(f"the input file {path} cannot be read: {error.strerror}") from error
    return parse_input(reader.text("INPUT_JSON", "{}"), "INPUT_JSON")


def parse_input(text: str | bytes, source: str) -> RunInput:
    """Read an envelope `{data, variables}`, or an object that is the data itself.

    Parts of the envelope that are no objects count as empty, variables whose name starts with `_` are dropped.
    """
    document = parse_strict_json(text, source)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise InvalidInputError(f"{source} must hold a JSON object: the data, or {{data, variables}}")
    if not (document.keys() <= _ENVELOPE_KEYS or document.keys() >= _ENVELOPE_KEYS):
        return RunInput(document, {})
    variables = _object(document.get("variables"))
    return RunInput(
        _object(document.get("data")),
        {name: value for name, value in variables.items() if not name.startswith("_")},
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def built_in_variables(*, scenario_id: str, instance_id: str, tenant_id: str) -> dict[str, Any]:
    """The variables that every graph has; `_scenario_id` is the base of all checkpoint keys."""
    base = f"{scenario_id}::{instance_id}"
    return {"_scenario_id": base, "_workflow_id": base, "_instance_id": instance_id, "_tenant_id": tenant_id}


def starting_variables(
    defaults: Mapping[str, Any], given: Mapping[str, Any], built_in: Mapping[str, Any]
) -> dict[str, Any]:
    """Defaults of the scenario, overridden by the run input; nothing overrides the built-in ones."""
    return {**defaults, **given, **built_in}
