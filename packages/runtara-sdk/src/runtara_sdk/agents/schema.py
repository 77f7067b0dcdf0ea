"""Types of inputs and results in the terms of the agent metadata, derived from JSON Schema.

Type names: string, boolean, integer, number (format `double`), array (with `items`), object (with `fields` when they
are known), null and any. `any` stands for everything that has no single type, unions included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

_SIMPLE_TYPES = frozenset({"string", "boolean", "integer", "number", "array", "object", "null"})
_CONSTRAINTS = (
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
)
_MAXIMUM_STEPS = 20


_camel_case = lru_cache(maxsize=4096)(to_camel)


@dataclass(frozen=True)
class InputField:
    """One input of a capability.

    Attributes:
        name: the key under which the input is expected.
        aliases: further keys that are accepted.
        type_info: FieldTypeInfo of the agent metadata.
        required: whether it must be given.
        nullable: whether null is acceptable.
        hidden: filled in by the runtime (`_connection`, `connection_id`), not by the author of a scenario.
        enum: the acceptable literals, when there is a closed list.
        constraints: limits of the value in the words of JSON Schema (`minimum`, `maxLength`, `pattern`, ...).
        default: JSON value used when the input is left out; None when there is none.
        display_name, description, example: for listings.
    """

    name: str
    aliases: tuple[str, ...]
    type_info: Mapping[str, Any]
    required: bool
    nullable: bool
    hidden: bool
    enum: tuple[Any, ...] = ()
    constraints: Mapping[str, Any] = field(default_factory=dict)
    default: Any = None
    display_name: str | None = None
    description: str | None = None
    example: Any = None

    @property
    def type(self) -> str:
        """The type's name, as in the agent metadata."""
        return str(self.type_info["type"])

    def accepts(self, name: str) -> bool:
        """Whether an input called `name` lands in this field."""
        return name == self.name or name in self.aliases or name == self.camel_case_name

    @property
    def camel_case_name(self) -> str:
        """The name in camelCase, accepted beside the name itself."""
        return self.name if self.name.startswith("_") else _camel_case(self.name)

    def metadata(self) -> dict[str, Any]:
        """CapabilityField of the agent metadata."""
        document: dict[str, Any] = {"name": self.name, **self.type_info, "required": self.required}
        if self.nullable:
            document["nullable"] = True
        optional = {
            "displayName": self.display_name,
            "description": self.description,
            "default": self.default,
            "example": self.example,
            "enum": list(self.enum) or None,
            "constraints": dict(self.constraints) or None,
            "aliases": list(self.aliases) or None,
        }
        document.update({key: value for key, value in optional.items() if value is not None})
        return document


def input_fields(model: type[BaseModel]) -> tuple[InputField, ...]:
    """The inputs that `model` declares, in their order."""
    document = model.model_json_schema(mode="validation")
    definitions = document.get("$defs", {})
    schema = _resolve(document, definitions).schema
    required = frozenset(schema.get("required", ()))
    fields = []
    for attribute, declared in model.model_fields.items():
        name, *aliases = _input_names(attribute, declared)
        raw = schema["properties"][name]
        resolved = _resolve(raw, definitions)
        examples = raw.get("examples") or []
        fields.append(
            InputField(
                name=name,
                aliases=tuple(aliases),
                type_info=_type_info(resolved, definitions),
                required=name in required,
                nullable=resolved.nullable,
                hidden=name.startswith("_") or name == "connection_id",
                enum=tuple(_enumeration(resolved.schema)),
                constraints={key: resolved.schema[key] for key in _CONSTRAINTS if key in resolved.schema},
                default=raw.get("default"),
                display_name=declared.title,
                description=declared.description,
                example=examples[0] if examples else None,
            )
        )
    return tuple(fields)


def output_type(schema: Mapping[str, Any]) -> dict[str, Any]:
    """FieldTypeInfo of a result, nested fields included, from its JSON Schema."""
    definitions = schema.get("$defs", {})
    resolved = _resolve(schema, definitions)
    document = _type_info(resolved, definitions)
    if resolved.schema.get("description"):
        document["description"] = resolved.schema["description"]
    if resolved.nullable:
        document["nullable"] = True
    return document


def _input_names(attribute: str, declared: FieldInfo) -> list[str]:
    alias = declared.validation_alias if declared.validation_alias is not None else declared.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    names = []
    for choice in choices:
        if isinstance(choice, AliasPath):
            continue
        names.append(attribute if choice is None else choice)
    return names or [attribute]


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A schema without references and null at its top, and the definitions that led to it."""

    schema: Mapping[str, Any]
    nullable: bool
    definitions: frozenset[str]


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> _Resolved:
    nullable = False
    followed: frozenset[str] = frozenset()
    for _ in range(_MAXIMUM_STEPS):
        if "$ref" in schema:
            name = schema["$ref"].removeprefix("#/$defs/")
            followed |= {name}
            schema = definitions[name]
            continue
        options = schema.get("anyOf") or schema.get("oneOf")
        if not options:
            break
        others = [option for option in options if option.get("type") != "null"]
        nullable = nullable or len(others) < len(options)
        if len(others) != 1:
            return _Resolved({}, nullable, followed)
        schema = others[0]
    return _Resolved(schema, nullable, followed)


def _enumeration(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _type_info(
    resolved: _Resolved, definitions: Mapping[str, Any], enclosing: frozenset[str] = frozenset()
) -> dict[str, Any]:
    schema = resolved.schema
    name = schema.get("type")
    if not isinstance(name, str) or name not in _SIMPLE_TYPES:
        return {"type": "any", **({"format": schema["format"]} if "format" in schema else {})}
    document: dict[str, Any] = {"type": name}
    if name == "number":
        document["format"] = "double"
    elif "format" in schema:
        document["format"] = schema["format"]
    if resolved.definitions & enclosing:  # a recursive model: its inside was described once
        return document
    enclosing |= resolved.definitions
    if name == "array":
        items = _resolve(schema.get("items", {}), definitions)
        document["items"] = _type_info(items, definitions, enclosing)
        if items.nullable:
            document["items"]["nullable"] = True
    if name == "object" and schema.get("properties"):
        document["fields"] = [
            _output_field(field, raw, definitions, enclosing) for field, raw in schema["properties"].items()
        ]
    return document


def _output_field(
    name: str, raw: Mapping[str, Any], definitions: Mapping[str, Any], enclosing: frozenset[str]
) -> dict[str, Any]:
    resolved = _resolve(raw, definitions)
    document: dict[str, Any] = {"name": name, **_type_info(resolved, definitions, enclosing)}
    for key, source in (("displayName", "title"), ("description", "description")):
        if raw.get(source):
            document[key] = raw[source]
    if raw.get("examples"):
        document["example"] = raw["examples"][0]
    if resolved.nullable:
        document["nullable"] = True
    return document
