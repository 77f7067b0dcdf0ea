"""From parsed JSON to the shape that the models expect, part by part.

Each part is read by name: old names become current ones, nulls of optional fields are dropped, unknown fields
are refused with a suggestion, and what the language has but this version does not compile is refused as such. A
part that is refused is replaced or left out, so that it is reported once and the rest is still checked.

What a field holds is read off the annotation of its model, so a new step type needs nothing here.
"""

from __future__ import annotations

import types
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from runtara_compiler.language.base import Constant, LanguageModel, Part
from runtara_compiler.language.graph import ExecutionGraph
from runtara_compiler.language.json_source import describe, quoted
from runtara_compiler.language.reading import Place, ReadingReport
from runtara_compiler.language.scenario import Scenario
from runtara_compiler.language.step_types import STEP_MODELS, STEP_TYPE_SYNONYMS, UNSUPPORTED_STEP_TYPES
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.language.value_reading import ValueReader

MAXIMUM_IDENTIFIER_CHARACTERS = 256


class DocumentReader:
    """Reads one document; `report` holds what was found."""

    def __init__(self) -> None:
        self.report = ReadingReport()
        self._values = ValueReader(self.report, self._own_fields)

    def read_scenario(self, document: dict[str, Any]) -> dict[str, Any]:
        """The wrapper with its graph; a bare graph is wrapped. A `$schema` at the top is for editors."""
        document = {name: value for name, value in document.items() if name != "$schema"}
        if "executionGraph" not in document:
            return {"executionGraph": self._graph(document, ())}
        scenario = self._own_fields(document, Scenario, (), own=("origin", "loadWarnings"))
        if isinstance(scenario.get("executionGraph"), dict):
            scenario["executionGraph"] = self._graph(scenario["executionGraph"], ())
        return scenario

    def _graph(self, raw: dict[str, Any], place: Place) -> dict[str, Any]:
        graph = self._fields(raw, ExecutionGraph, place, but="steps")
        if isinstance(graph.get("steps"), dict):
            steps = {key: self._step(key, step, (*place, "steps", key)) for key, step in graph["steps"].items()}
            graph["steps"] = {key: step for key, step in steps.items() if step is not None}
        if not graph.get("entryPoint") and isinstance(raw.get("steps"), dict):
            graph["entryPoint"] = _infer_entry_point(list(raw["steps"]), graph.get("executionPlan"))
        return graph

    def _step(self, key: str, raw: Any, place: Place) -> dict[str, Any] | None:
        with self.report.step(key, place):
            return self._read_step(key, raw, place)

    def _read_step(self, key: str, raw: Any, place: Place) -> dict[str, Any] | None:
        report = self.report.report
        if not key or "\0" in key or len(key) > MAXIMUM_IDENTIFIER_CHARACTERS:
            limit = f"1 to {MAXIMUM_IDENTIFIER_CHARACTERS} characters, none of them NUL"
            report("E095", f"a step id has {limit}", (*place[:-1], key[:40]))
        if not isinstance(raw, dict):
            report("E095", f"a step is an object, found {describe(raw)}", place)
            return None
        step_type = raw.get("stepType")
        if not isinstance(step_type, str):
            wanted = f"one of {listing(STEP_MODELS)}"
            if step_type is None:
                report("E094", f"'stepType' is missing; it is {wanted}", place)
            else:
                report("E095", f"'stepType' is {wanted}, found {describe(step_type)}", place)
            return None
        model = STEP_MODELS.get(STEP_TYPE_SYNONYMS.get(step_type, step_type))
        if model is None:
            self._refuse_step_type(step_type, place)
            return None
        return self._identified(key, self._fields(raw, model, place), model, place)

    def _identified(self, key: str, step: dict[str, Any], model: type[BaseStep], place: Place) -> dict[str, Any]:
        step["stepType"] = model.model_fields["step_type"].default
        if step.get("id") is None:
            step["id"] = key
        if step["id"] != key:
            text = f"'id' is {describe(step['id'])}, but the key in 'steps' is {key!r}; "
            self.report.report("E098", text + "remove 'id' or make it the same", place)
            step["id"] = key
        return step

    def _refuse_step_type(self, step_type: str, place: Place) -> None:
        if step_type in UNSUPPORTED_STEP_TYPES:
            self.report.report(
                "E097",
                f"step type {step_type!r} is part of the language, but this version does not compile it; "
                f"it compiles {listing(STEP_MODELS)}",
                place,
            )
        else:
            known = STEP_MODELS.keys() | STEP_TYPE_SYNONYMS.keys() | UNSUPPORTED_STEP_TYPES
            suggestion = did_you_mean(step_type, known)
            self.report.report("E096", f"unknown step type {quoted(step_type)}{suggestion}", place)

    # Fields of any part.

    def _fields(
        self, raw: dict[str, Any], model: type[LanguageModel], place: Place, *, but: str | None = None
    ) -> dict[str, Any]:
        """The fields of a part, each read as its annotation says; `but` is a field that the caller reads."""
        fields = self._own_fields(raw, model, place)
        annotations = _annotations(model)
        return {
            name: value if name == but else self._read(value, annotations[name], (*place, name))
            for name, value in fields.items()
        }

    def _read(self, raw: Any, annotation: Any, place: Place) -> Any:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._read_annotated(raw, arguments, place)
        if origin in (Union, types.UnionType):
            inner = [item for item in arguments if item is not type(None)]
            return raw if raw is None or len(inner) != 1 else self._read(raw, inner[0], place)
        if origin is dict and isinstance(raw, dict):
            return {key: self._read(item, arguments[1], (*place, key)) for key, item in raw.items()}
        if origin is tuple and isinstance(raw, list):
            return [self._read(item, arguments[0], (*place, index)) for index, item in enumerate(raw)]
        if isinstance(annotation, type) and issubclass(annotation, LanguageModel) and isinstance(raw, dict):
            is_graph = annotation is ExecutionGraph
            return self._graph(raw, place) if is_graph else self._fields(raw, annotation, place)
        return raw

    def _read_annotated(self, raw: Any, arguments: tuple[Any, ...], place: Place) -> Any:
        if Part.VALUE in arguments:
            return self._values.value(raw, place)
        if Part.NESTED_VALUE in arguments:
            return self._values.nested_value(raw, place)
        if Part.CONDITION in arguments:
            return self._values.condition(raw, place)
        return self._read(raw, arguments[0], place)

    def _own_fields(
        self, raw: dict[str, Any], model: type[LanguageModel], place: Place, *, own: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The known fields of a part under their current names; `own` are fields of the model, not of JSON."""
        known = model.json_fields().difference(own)
        optional = _null_means_absent(model)
        report = self.report.report
        fields: dict[str, Any] = {}
        for name, value in raw.items():
            current = model.old_names.get(name) or model.synonyms.get(name) or name
            if current != name:
                if name in model.old_names:
                    report("W090", f"{name!r} is an old name; use {current!r}", place)
                if current in raw:
                    report("E099", f"both {name!r} and {current!r} are given; keep {current!r}", place)
                    continue
            if current not in known:
                suggestion = did_you_mean(name, known | model.synonyms.keys())
                report("E093", f"unknown field {quoted(name)}{suggestion}", place)
            elif value is not None or current not in optional:
                fields[current] = value
        return fields


@cache
def _annotations(model: type[LanguageModel]) -> dict[str, Any]:
    """JSON name to annotation, with what pydantic keeps apart put back."""
    return {
        field.alias or name: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }


@cache
def _null_means_absent(model: type[LanguageModel]) -> frozenset[str]:
    """Optional fields for which null is no value of its own."""
    return frozenset(
        field.alias or name
        for name, field in model.model_fields.items()
        if not field.is_required() and field.annotation is not Constant
    )


def _infer_entry_point(step_ids: list[str], edges: Any) -> str:
    """The one step without an incoming edge; empty when there is none, or more than one."""
    targets = set()
    for edge in edges if isinstance(edges, list) else ():
        if isinstance(edge, dict) and isinstance(edge.get("toStep"), str):
            targets.add(edge["toStep"])
    first = [step_id for step_id in step_ids if step_id not in targets]
    return first[0] if len(first) == 1 else ""
