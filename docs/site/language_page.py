"""The reference of the scenario language, made of its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from markdown_table import code, sentences, table
from runtara_compiler.language.json_schema import scenario_schema

PAGE = "scenario-language.md"

_DOCUMENT = ("Scenario", "ExecutionGraph", "Edge", "Variable", "SchemaField")
_VALUES = ("Reference", "Immediate", "Composite", "Template")
_GENERAL = {"Step": "[step](#steps)", "MappingValue": "[value](#values)"}
_REFERENCE = "#/$defs/"

_HEAD = """\
# The scenario language

A scenario is a JSON document: steps, edges between them, and values that lead data from step to step. This page is made
of the [JSON Schema](docs/scenario.schema.json) of the language, which editors can check a scenario against.

`runtara compile --validate` checks more than a schema can say, with these [diagnostic codes](docs/diagnostic-codes.md).
A scenario becomes a Python module: [some of them](docs/generated-modules.md).
"""


def language_page() -> str:
    """The page as Markdown; its links are below the root of the site's sources."""
    schema = scenario_schema()
    definitions: Mapping[str, Any] = schema["$defs"]
    steps = {kind["id"]: kind["schema"].removeprefix(_REFERENCE) for kind in schema["x-step-types"]}
    anchors = {definition: title for title, definition in steps.items()}
    anchors |= {name: name for name in definitions if name not in anchors and name not in _GENERAL}

    lines = [_HEAD, "## The document"]
    for name in _DOCUMENT:
        lines += ["", *_section(name, definitions[name], anchors)]
    lines += ["", "## Steps"]
    for title, name in steps.items():
        lines += ["", *_section(title, definitions[name], anchors)]
    lines += ["", "## Values", "", "What a step is given is written in one of these forms."]
    for name in _VALUES:
        lines += ["", *_section(name, definitions[name], anchors)]
    told = {*_DOCUMENT, *_VALUES, *steps.values(), *_GENERAL}
    lines += ["", "## Parts"]
    for name in sorted(definitions.keys() - told):
        lines += ["", *_section(name, definitions[name], anchors)]
    return "\n".join(lines) + "\n"


def _section(title: str, definition: Mapping[str, Any], anchors: Mapping[str, str]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    if definition.get("description"):
        yield definition["description"]
        yield ""
    if "properties" in definition:
        required = frozenset(definition.get("required", ()))
        rows = [
            [
                f"`{name}`",
                _type(field, anchors),
                "**required**" if name in required else _default(field),
                _begun(field.get("description", "")),
            ]
            for name, field in definition["properties"].items()
        ]
        yield from table(["Field", "Type", "Default", "Description"], rows)
    else:
        yield f"{_begun(_type(definition, anchors))}."


def _default(field: Mapping[str, Any]) -> str:
    return "" if field.get("default") is None else code(field["default"])


def _type(field: Mapping[str, Any], anchors: Mapping[str, str]) -> str:
    if "$ref" in field:
        name = field["$ref"].removeprefix(_REFERENCE)
        if name in _GENERAL:
            return _GENERAL[name]
        return f"[{anchors[name]}](#{anchors[name].lower()})"
    for union in ("oneOf", "anyOf"):
        if union in field:
            return _union([_type(each, anchors) for each in field[union]])
    if "const" in field:
        return code(field["const"])
    if "enum" in field:
        return sentences("one of" if len(field["enum"]) > 1 else None, ", ".join(map(code, field["enum"])))
    kind = field.get("type", "any")
    if isinstance(kind, list):
        return _union(kind)
    if kind == "array" and field.get("items"):
        return f"array of {_type(field['items'], anchors)}"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"object of {_type(field['additionalProperties'], anchors)}"
    return str(kind)


def _union(names: list[str]) -> str:
    forms = [f"[{name}](#{name.lower()})" for name in _VALUES]
    if all(form in names for form in forms):
        names = [_GENERAL["MappingValue"], *(name for name in names if name not in forms)]
    return " or ".join(dict.fromkeys(names))


def _begun(text: str) -> str:
    """The text with a capital letter, unless it begins with code or a link."""
    return text[:1].upper() + text[1:]
