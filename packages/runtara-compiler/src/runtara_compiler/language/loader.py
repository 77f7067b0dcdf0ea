"""Loading a scenario: JSON to models, with every mistake of form reported at once."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError, diagnostic
from runtara_compiler.language.document import DocumentReader
from runtara_compiler.language.json_source import describe, parse_json
from runtara_compiler.language.paths import Segment, format_path
from runtara_compiler.language.reading import MAXIMUM_DIAGNOSTICS, TooManyErrors
from runtara_compiler.language.scenario import Scenario

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "tuple_type": "an array",
}

_GRAPH_FIELDS = ("subgraph", "onWait")
_ABSENT: Any = object()


def load_scenario(source: bytes | str | dict[str, Any], *, origin: str) -> Scenario:
    """Load a scenario or a bare execution graph.

    Args:
        source: JSON text, or an object that was parsed already.
        origin: where it came from, a path for instance; the error's message starts with it.

    Raises:
        ScenarioError: the document is not a scenario that this version knows; its `diagnostics` list every
            reason found. What needs a view of the whole graph is left to `validate`.
    """
    document = parse_json(source, origin=origin)
    reader = DocumentReader()
    try:
        fields = reader.read_scenario(document)
    except TooManyErrors:
        raise ScenarioError(origin, reader.report.errors) from None
    errors = list(reader.report.errors)
    scenario: Scenario | None = None
    try:
        scenario = Scenario.model_validate({**fields, "origin": origin})
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=True, include_input=True)
        errors.extend(_translate(detail, fields) for detail in details[:MAXIMUM_DIAGNOSTICS])
    if errors or scenario is None:
        raise ScenarioError(origin, errors)
    return scenario.model_copy(update={"load_warnings": tuple(reader.report.warnings)})


def _translate(detail: ErrorDetails, document: dict[str, Any]) -> Diagnostic:
    """One finding of the models, in the language of a scenario's author."""
    place = _place(detail["loc"], document)
    step_at = _innermost_step(place)
    step_id = None if step_at is None else str(place[step_at])
    inner = place if step_at is None else place[step_at + 1 :]
    code, text = _explain(detail, inner)
    if code == "E094":
        place, inner = place[:-1], inner[:-1]
    where = format_path(inner)
    message = f"{where}: {text}" if where else text
    if step_id is not None:
        message = f"step {step_id!r}: {message}"
    return diagnostic(code, message, step_id=step_id, path=format_path(place) or None)


def _explain(detail: ErrorDetails, place: tuple[Segment, ...]) -> tuple[str, str]:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return "E094", f"{place[-1] if place else '?'!r} is missing"
    if kind == "extra_forbidden":
        return "E093", "unknown field"
    if kind in _EXPECTED:
        return "E095", f"must be {_EXPECTED[kind]}, found {describe(value)}"
    if kind in ("enum", "literal_error"):
        return "E095", f"must be {context.get('expected', 'a known value')}, found {describe(value)}"
    if kind == "greater_than_equal":
        return "E095", f"must be at least {context['ge']}, found {describe(value)}"
    if kind == "less_than_equal":
        return "E095", f"must be at most {context['le']}, found {describe(value)}"
    message = " ".join(detail["msg"].split())
    return "E095", message[:1].lower() + message[1:]


def _place(location: tuple[int | str, ...], document: dict[str, Any]) -> tuple[Segment, ...]:
    """The place in the graph of what the models located; the names of union members between are dropped."""
    place: list[Segment] = []
    value: Any = document
    for number, item in enumerate(location):
        inner = _item(value, item)
        if inner is not _ABSENT:
            is_own_name = item == "mappingValue" and value.get("type") == "value"  # in the document it is the condition
            value = inner
            if not is_own_name:
                place.append(item)
        elif number == len(location) - 1 and isinstance(item, str):
            place.append(item)
    if place and place[0] == "executionGraph" and len(place) > 1:
        del place[0]
    return tuple(place)


def _innermost_step(place: tuple[Segment, ...]) -> int | None:
    """Where in a place the id of the innermost step stands."""
    found = None
    for index in range(1, len(place)):
        is_graph = index == 1 or place[index - 2] in _GRAPH_FIELDS
        if is_graph and place[index - 1] == "steps" and (found is None or index > found + 1):
            found = index
    return found


def _item(value: Any, key: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(key, _ABSENT)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return _ABSENT
