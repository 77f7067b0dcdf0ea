"""The JSON Schema of scenarios, generated from the models: for completion and red underlines in an editor.

It says what a document may hold at each place. What needs a view of the whole graph (edges, references, children) is
left to validation, and these differences from the loader are on purpose:

| Document | Loader | Schema | Why |
|---|---|---|---|
| null for a field that may be left out | reads it as left out | refuses it | an editor should not suggest it |
| old names (`operatorId`, `operationId`) | reads them and warns | refuses them | new documents use the current ones |
| a step id that differs from its key | refuses it | accepts it | JSON Schema cannot compare the two |
"""

from __future__ import annotations

import copy
import inspect
import re
import warnings
from typing import Any

from pydantic.json_schema import PydanticJsonSchemaWarning

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.graph import ExecutionGraph
from runtara_compiler.language.scenario import LANGUAGE_VERSION, Scenario
from runtara_compiler.language.step_types import STEP_MODELS, STEP_TYPE_SYNONYMS

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ATTRIBUTE = re.compile(r"^    (\w+): (.*)$")
_OWN_FIELDS = ("origin", "loadWarnings")
_ANYTHING = "Any JSON; an object with `valueType` and `value` is a mapping value, at any depth."


def scenario_schema() -> dict[str, Any]:
    """The schema of a scenario document: the wrapper, or the bare graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # of discriminators, which are taken out again
        generated = Scenario.model_json_schema(by_alias=True, mode="validation")
    definitions: dict[str, Any] = generated.pop("$defs")
    for name in _OWN_FIELDS:
        generated["properties"].pop(name, None)
    definitions.pop("Diagnostic", None)
    definitions.pop("Severity", None)
    definitions["Scenario"] = generated
    for model in _models():
        if model.__name__ in definitions:
            _complete(definitions[model.__name__], model)
    for root in (Scenario, ExecutionGraph):
        definitions[root.__name__]["properties"]["$schema"] = {"type": "string", "description": "Of the editor."}
    _write_steps(definitions)
    _write_conditions(definitions)
    _write_cases(definitions)
    return {
        "$schema": DIALECT,
        "title": "Runtara scenario",
        "x-dsl-version": LANGUAGE_VERSION,
        "x-step-types": step_types(),
        "if": {"required": ["executionGraph"]},
        "then": {"$ref": "#/$defs/Scenario"},
        "else": {"$ref": "#/$defs/ExecutionGraph"},
        "$defs": dict(sorted(definitions.items())),
    }


def step_types() -> list[dict[str, str]]:
    """Name and description of each step type that compiles."""
    return [
        {"id": name, "description": _summary(model), "schema": f"#/$defs/{model.__name__}"}
        for name, model in sorted(STEP_MODELS.items())
    ]


def _models() -> list[type[LanguageModel]]:
    found: list[type[LanguageModel]] = []
    waiting: list[type[LanguageModel]] = [LanguageModel]
    while waiting:
        model = waiting.pop()
        found.append(model)
        waiting += model.__subclasses__()
    return found


def _complete(definition: dict[str, Any], model: type[LanguageModel]) -> None:
    """Add what the models know beside their fields: descriptions, other names, fields that ask for nothing."""
    definition["description"] = _summary(model)
    definition.pop("title", None)
    properties: dict[str, Any] = definition.setdefault("properties", {})
    described = _attributes(model)
    for name, field in model.model_fields.items():
        shown = properties.get(field.alias or name)
        if shown is None:
            continue
        shown.pop("title", None)
        _without_null(shown)
        if name in described:
            shown["description"] = described[name]
    for synonym, current in model.synonyms.items():
        properties[synonym] = copy.deepcopy(properties[current])
        if current in definition.get("required", ()):
            definition["required"].remove(current)
            definition["oneOf"] = [{"required": [current]}, {"required": [synonym]}]


def _without_null(shown: dict[str, Any]) -> None:
    options = shown.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        shown.pop("anyOf")
        shown.pop("default", None)
        shown.update(rest[0] if len(rest) == 1 else {"anyOf": rest})


def _write_steps(definitions: dict[str, Any]) -> None:
    for name, model in STEP_MODELS.items():
        definition = definitions[model.__name__]
        names = [name, *(synonym for synonym, current in STEP_TYPE_SYNONYMS.items() if current == name)]
        definition["properties"]["stepType"] = {"enum": names}
        definition["properties"]["id"]["description"] = "The key of the step in `steps`; may be left out."
        definition["required"] = ["stepType", *(item for item in definition["required"] if item != "id")]
    steps = {
        "type": "object",
        "required": ["stepType"],
        "properties": {"stepType": {"enum": sorted({*STEP_MODELS, *STEP_TYPE_SYNONYMS})}},
        "allOf": [
            {
                "if": {"properties": {"stepType": definitions[model.__name__]["properties"]["stepType"]}},
                "then": {"$ref": f"#/$defs/{model.__name__}"},
            }
            for model in STEP_MODELS.values()
        ],
    }
    definitions["Step"] = steps
    graph = definitions[ExecutionGraph.__name__]["properties"]
    graph["steps"] = {"type": "object", "additionalProperties": {"$ref": "#/$defs/Step"}, "minProperties": 1}
    graph["entryPoint"] = {
        "type": "string",
        "description": "Id of the first step; may be left out when exactly one step has no incoming edge.",
    }
    for editor in ("notes", "nodes", "edges", "positions"):
        graph[editor] = {"description": "Of the editor; free in form."}


def _write_conditions(definitions: dict[str, Any]) -> None:
    """A condition that is a value: the value's own fields, with `type` = `value`."""
    forms = []
    for name in ("Reference", "Immediate", "Composite", "Template"):
        definition = definitions[name]
        definition["required"] = ["valueType", "value"]
        definition["properties"]["valueType"].pop("default", None)
        form = copy.deepcopy(definition)
        form["properties"]["type"] = {"const": "value"}
        form["required"] = ["type", "valueType", "value"]
        forms.append(form)
    definitions["ValueCondition"] = {"description": "The truth of one mapping value.", "oneOf": forms}
    operation = definitions["Operation"]
    operation["required"] = ["type", "op"]
    operation["properties"]["type"] = {"const": "operation"}
    operation["properties"]["arguments"] = {"type": "array", "items": {"$ref": "#/$defs/ConditionArgument"}}
    definitions["ConditionArgument"] = {
        "if": {"properties": {"type": {"enum": ["operation", "value"]}}, "required": ["type"]},
        "then": {"$ref": "#/$defs/Condition"},
        "else": {"$ref": "#/$defs/MappingValue"},
    }
    definitions["Condition"] = {"oneOf": [{"$ref": "#/$defs/Operation"}, {"$ref": "#/$defs/ValueCondition"}]}
    definitions["MappingValue"] = {
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("Reference", "Immediate", "Composite", "Template")]
    }
    for definition in definitions.values():
        for name, shown in definition.get("properties", {}).items():
            if name == "condition":
                definition["properties"][name] = {"$ref": "#/$defs/Condition", **_described(shown)}
    for definition in definitions.values():
        _without_discriminators(definition)


def _described(shown: dict[str, Any]) -> dict[str, Any]:
    return {"description": shown["description"]} if "description" in shown else {}


def _without_discriminators(node: Any) -> None:
    """`discriminator` is of OpenAPI, and says nothing that `const` does not."""
    if isinstance(node, dict):
        node.pop("discriminator", None)
        for item in node.values():
            _without_discriminators(item)
    elif isinstance(node, list):
        for item in node:
            _without_discriminators(item)


def _write_cases(definitions: dict[str, Any]) -> None:
    case = definitions["SwitchCase"]["properties"]
    case["match"] = {"description": f"What the value is compared with. {_ANYTHING}"}
    case["output"] = {"description": f"The output of the step. {_ANYTHING}"}
    definitions["SwitchConfig"]["properties"]["default"] = {"description": f"The output without a match. {_ANYTHING}"}


def _summary(model: type[LanguageModel]) -> str:
    text = inspect.getdoc(model) or ""
    return " ".join(text.partition("\n\n")[0].split())


def _attributes(model: type[LanguageModel]) -> dict[str, str]:
    """The descriptions in the `Attributes:` section of a docstring."""
    lines = (inspect.getdoc(model) or "").splitlines()
    described: dict[str, str] = {}
    current: str | None = None
    inside = False
    for line in lines:
        if line.strip() == "Attributes:":
            inside = True
        elif inside and (found := _ATTRIBUTE.match(line)):
            current = found[1]
            described[current] = found[2]
        elif inside and current is not None and line.startswith("        "):
            described[current] += " " + line.strip()
    return described
