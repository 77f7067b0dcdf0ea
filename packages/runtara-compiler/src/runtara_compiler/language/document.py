"""From parsed JSON to the shape that the models expect, part by part.

Each part is read by name: old names become current ones, nulls of optional fields are dropped, unknown fields
are refused with a suggestion, and what the language has but this version does not compile is refused as such. A
part that is refused is replaced or left out, so that it is reported once and the rest is still checked.
"""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.codes import Severity
from runtara_compiler.language.conditions import Operation, Operator, ValueCondition, condition_kind
from runtara_compiler.language.diagnostics import Diagnostic, diagnostic
from runtara_compiler.language.json_source import describe, quoted
from runtara_compiler.language.mapping import Immediate, Reference
from runtara_compiler.language.paths import Segment, format_path
from runtara_compiler.language.scenario import Edge, ExecutionGraph, Scenario, SchemaField, Variable, VisibleWhen
from runtara_compiler.language.steps import STEP_MODELS, UNSUPPORTED_STEP_TYPES, AgentStep
from runtara_compiler.language.suggestions import did_you_mean, listing

MAXIMUM_DIAGNOSTICS = 200
MAXIMUM_IDENTIFIER_CHARACTERS = 256

Place = tuple[Segment, ...]

_OLD_NAMES: dict[type[LanguageModel], dict[str, str]] = {
    AgentStep: {"operatorId": "agentId", "operationId": "capabilityId"},
}
"""Names of old documents: read, with a warning."""

_SYNONYMS: dict[type[LanguageModel], dict[str, str]] = {Scenario: {"trackEvents": "debugMode"}}
"""Names of newer documents: read, without a warning."""

_STEP_NEUTRAL: dict[str, JsonValue] = {"breakpoint": False, "durable": True}
_NOT_COMPILED: dict[type[LanguageModel], dict[str, JsonValue]] = {
    Scenario: {"durable": True},
    ExecutionGraph: {"durable": True},
    **dict.fromkeys(STEP_MODELS.values(), _STEP_NEUTRAL),
    AgentStep: {**_STEP_NEUTRAL, "connectionId": None, "connectionRef": None},
}
"""Fields of the language without effect in this version, each with the value that asks for nothing."""

_UNSUPPORTED_VALUE_TYPES = ("composite", "template")
_VALUE_MODELS: dict[str, type[LanguageModel]] = {"reference": Reference, "immediate": Immediate}

_ANY_JSON: object = JsonValue

_HARMLESS_VALUE: dict[str, Any] = {"valueType": "immediate", "value": None}
_HARMLESS_CONDITION: dict[str, Any] = {"type": "value", **_HARMLESS_VALUE}


class TooManyErrors(Exception):  # noqa: N818 - ends the reading, the errors are in the reader
    """The document has so many errors that reading on helps nobody."""


class DocumentReader:
    """Reads one document; `errors` and `warnings` hold what was found, places being relative to the graph."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._step_id: str | None = None

    def read_scenario(self, document: dict[str, Any]) -> dict[str, Any]:
        """The wrapper with its graph; a bare graph is wrapped."""
        if "executionGraph" not in document:
            return {"executionGraph": self._graph(document, ())}
        scenario = self._fields(document, Scenario, (), own=("origin", "loadWarnings"))
        if isinstance(scenario.get("executionGraph"), dict):
            scenario["executionGraph"] = self._graph(scenario["executionGraph"], ())
        return scenario

    def report(self, code: str, text: str, place: Place) -> None:
        """Note an error or a warning at a place; raises `TooManyErrors` with the last error that is kept."""
        path = format_path(place)
        if self._step_id is None:
            message = f"{path}: {text}" if path else text
        else:
            inner = format_path(place[2:])
            message = f"step {self._step_id!r}: {inner + ': ' if inner else ''}{text}"
        found = diagnostic(code, message, step_id=self._step_id, path=path or None)
        if found.severity is Severity.ERROR:
            self.errors.append(found)
            if len(self.errors) >= MAXIMUM_DIAGNOSTICS:
                raise TooManyErrors
        elif len(self.warnings) < MAXIMUM_DIAGNOSTICS:
            self.warnings.append(found)

    # Parts of the graph.

    def _graph(self, raw: dict[str, Any], place: Place) -> dict[str, Any]:
        graph = self._fields(raw, ExecutionGraph, place)
        if isinstance(graph.get("steps"), dict):
            steps = {key: self._step(key, step, (*place, "steps", key)) for key, step in graph["steps"].items()}
            graph["steps"] = {key: step for key, step in steps.items() if step is not None}
        if isinstance(graph.get("executionPlan"), list):
            graph["executionPlan"] = [
                self._edge(edge, (*place, "executionPlan", index)) for index, edge in enumerate(graph["executionPlan"])
            ]
        for field, model in (("variables", Variable), ("inputSchema", SchemaField), ("outputSchema", SchemaField)):
            if isinstance(graph.get(field), dict):
                graph[field] = {
                    name: self._declaration(item, model, (*place, field, name)) for name, item in graph[field].items()
                }
        if not graph.get("entryPoint") and isinstance(raw.get("steps"), dict):
            graph["entryPoint"] = _infer_entry_point(list(raw["steps"]), graph.get("executionPlan"))
        return graph

    def _declaration(self, raw: Any, model: type[LanguageModel], place: Place) -> Any:
        if not isinstance(raw, dict):
            return raw
        declared = self._fields(raw, model, place)
        if model is SchemaField:
            if "items" in declared:
                declared["items"] = self._declaration(declared["items"], model, (*place, "items"))
            if isinstance(declared.get("properties"), dict):
                declared["properties"] = {
                    name: self._declaration(item, model, (*place, "properties", name))
                    for name, item in declared["properties"].items()
                }
            if isinstance(declared.get("visibleWhen"), dict):
                where = (*place, "visibleWhen")
                declared["visibleWhen"] = self._fields(declared["visibleWhen"], VisibleWhen, where)
        return declared

    def _edge(self, raw: Any, place: Place) -> Any:
        if not isinstance(raw, dict):
            return raw
        edge = self._fields(raw, Edge, place)
        if "condition" in edge:
            edge["condition"] = self._condition(edge["condition"], (*place, "condition"))
        return edge

    def _step(self, key: str, raw: Any, place: Place) -> dict[str, Any] | None:
        self._step_id = key
        try:
            return self._read_step(key, raw, place)
        finally:
            self._step_id = None

    def _read_step(self, key: str, raw: Any, place: Place) -> dict[str, Any] | None:
        if not key or "\0" in key or len(key) > MAXIMUM_IDENTIFIER_CHARACTERS:
            limit = f"1 to {MAXIMUM_IDENTIFIER_CHARACTERS} characters, none of them NUL"
            self.report("E095", f"a step id has {limit}", (*place[:-1], key[:40]))
        if not isinstance(raw, dict):
            self.report("E095", f"a step is an object, found {describe(raw)}", place)
            return None
        step_type = raw.get("stepType")
        if not isinstance(step_type, str):
            wanted = f"one of {listing(STEP_MODELS)}"
            if step_type is None:
                self.report("E094", f"'stepType' is missing; it is {wanted}", place)
            else:
                self.report("E095", f"'stepType' is {wanted}, found {describe(step_type)}", place)
            return None
        model = STEP_MODELS.get(step_type)
        if model is None:
            self._refuse_step_type(step_type, place)
            return None
        step = self._fields(raw, model, place)
        if step.get("id") is None:
            step["id"] = key
        if step["id"] != key:
            self.report(
                "E098",
                f"'id' is {describe(step['id'])}, but the key in 'steps' is {key!r}; remove 'id' or make it the same",
                place,
            )
            step["id"] = key
        for field in ("inputMapping", "context"):
            if isinstance(step.get(field), dict):
                step[field] = {name: self._value(value, (*place, field, name)) for name, value in step[field].items()}
        if "durationMs" in step:
            step["durationMs"] = self._value(step["durationMs"], (*place, "durationMs"))
        if "condition" in step:
            step["condition"] = self._condition(step["condition"], (*place, "condition"))
        return step

    def _refuse_step_type(self, step_type: str, place: Place) -> None:
        if step_type in UNSUPPORTED_STEP_TYPES:
            self.report(
                "E097",
                f"step type {step_type!r} is part of the language, but this version does not compile it; "
                f"it compiles {listing(STEP_MODELS)}",
                place,
            )
        else:
            suggestion = did_you_mean(step_type, STEP_MODELS.keys() | UNSUPPORTED_STEP_TYPES)
            self.report("E096", f"unknown step type {quoted(step_type)}{suggestion}", place)

    # Values and conditions.

    def _value(self, raw: Any, place: Place) -> Any:
        """A mapping value; one that is refused becomes null."""
        if not isinstance(raw, dict):
            example = '{"valueType": "immediate", "value": …}'
            self.report("E095", f"a mapping value is an object such as {example}, found {describe(raw)}", place)
            return _HARMLESS_VALUE
        if "valueType" not in raw:
            self.report("E094", "'valueType' is missing; it is 'immediate' or 'reference'", place)
            return _HARMLESS_VALUE
        if (model := self._value_model(raw["valueType"], place)) is None:
            return _HARMLESS_VALUE
        return self._fields(raw, model, place)

    def _value_model(self, value_type: Any, place: Place) -> type[LanguageModel] | None:
        if isinstance(value_type, str) and value_type in _VALUE_MODELS:
            return _VALUE_MODELS[value_type]
        if value_type in _UNSUPPORTED_VALUE_TYPES:
            self.report(
                "E097",
                f"value type {value_type!r} is part of the language, but this version does not compile it; "
                "use 'immediate' or 'reference'",
                place,
            )
        else:
            known = (*_VALUE_MODELS, *_UNSUPPORTED_VALUE_TYPES)
            suggestion = did_you_mean(value_type, known) if isinstance(value_type, str) else ""
            self.report("E095", f"unknown value type {describe(value_type)}{suggestion}", place)
        return None

    def _condition(self, raw: Any, place: Place) -> Any:
        """A condition; one that is refused becomes false."""
        kind = condition_kind(raw) if isinstance(raw, dict) else None
        if kind not in ("operation", "value"):
            found = describe(raw.get("type")) if isinstance(raw, dict) else describe(raw)
            self.report("E025", f"a condition has the 'type' 'operation' or 'value', found {found}", place)
            return _HARMLESS_CONDITION
        if kind == "value":
            if "valueType" not in raw:
                self.report("E094", "'valueType' is missing; it is 'immediate' or 'reference'", place)
                return _HARMLESS_CONDITION
            known = self._value_model(raw["valueType"], place) is not None
            return self._fields(raw, ValueCondition, place) if known else _HARMLESS_CONDITION
        operation = self._fields(raw, Operation, place)
        operator = operation.get("op")
        if not isinstance(operator, str) or operator not in Operator.__members__:
            self._refuse_operator(operator, place)
            return _HARMLESS_CONDITION
        arguments = operation.get("arguments", [])
        if not isinstance(arguments, list):
            self.report("E025", f"'arguments' is an array, found {describe(arguments)}", place)
            return _HARMLESS_CONDITION
        operation["arguments"] = [
            self._argument(argument, (*place, "arguments", index)) for index, argument in enumerate(arguments)
        ]
        return operation

    def _argument(self, raw: Any, place: Place) -> Any:
        if not isinstance(raw, dict):
            self.report("E025", f"an argument is a condition or a mapping value, found {describe(raw)}", place)
            return _HARMLESS_VALUE
        if condition_kind(raw) in ("operation", "value"):
            return self._condition(raw, place)
        if "valueType" not in raw:
            self.report("E025", "an argument has a 'type' (a condition) or a 'valueType' (a mapping value)", place)
            return _HARMLESS_VALUE
        return self._value(raw, place)

    def _refuse_operator(self, operator: Any, place: Place) -> None:
        if operator is None:
            self.report("E094", f"'op' is missing; it is one of {listing(Operator)}", place)
        elif isinstance(operator, str):
            self.report("E025", f"unknown operator {quoted(operator)}{did_you_mean(operator, Operator)}", place)
        else:
            self.report("E025", f"'op' is the name of an operator, found {describe(operator)}", place)

    # Fields of any part.

    def _fields(
        self, raw: dict[str, Any], model: type[LanguageModel], place: Place, *, own: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The known fields of a part under their current names; `own` are fields of the model, not of JSON."""
        known = model.json_fields().difference(own)
        old, synonyms = _OLD_NAMES.get(model, {}), _SYNONYMS.get(model, {})
        neutral = _NOT_COMPILED.get(model, {})
        optional = _null_means_absent(model)
        fields: dict[str, Any] = {}
        for name, value in raw.items():
            current = old.get(name) or synonyms.get(name) or name
            if current != name:
                if name in old:
                    self.report("W090", f"{name!r} is an old name; use {current!r}", place)
                if current in raw:
                    self.report("E099", f"both {name!r} and {current!r} are given; keep {current!r}", place)
                    continue
            if current in neutral:
                if value is not None and value != neutral[current]:
                    self.report(
                        "E097",
                        f"{name!r} is part of the language, but this version does not compile it; remove it",
                        place,
                    )
            elif current not in known:
                suggestion = did_you_mean(name, known)
                self.report("E093", f"unknown field {quoted(name)}{suggestion}", place)
            elif value is not None or current not in optional:
                fields[current] = value
        return fields


def _null_means_absent(model: type[LanguageModel]) -> frozenset[str]:
    """Optional fields for which null is no value of its own."""
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if not field.is_required() and field.annotation is not _ANY_JSON
    )


def _infer_entry_point(step_ids: list[str], edges: Any) -> str:
    """The one step without an incoming edge; empty when there is none, or more than one."""
    targets = set()
    for edge in edges if isinstance(edges, list) else ():
        if isinstance(edge, dict) and isinstance(edge.get("toStep"), str):
            targets.add(edge["toStep"])
    first = [step_id for step_id in step_ids if step_id not in targets]
    return first[0] if len(first) == 1 else ""
