"""Types of inputs and results in the terms of the agent metadata, derived from JSON Schema.

Type names: string, boolean, integer, number (format `double`), array (with `items`), object (with `fields` when they
are known), null and any. `any` stands for everything that has no single type, unions included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

_SIMPLE_TYPES = frozenset({"string", "boolean", "integer", "number", "array", "object", "null"})
_MAXIMUM_DEPTH = 12


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
        return self.name if self.name.startswith("_") else to_camel(self.name)

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
            "aliases": list(self.aliases) or None,
        }
        document.update({key: value for key, value in optional.items() if value is not None})
        return document


def input_fields(model: type[BaseModel]) -> tuple[InputField, ...]:
    """The inputs that `model` declares, in their order."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    required = frozenset(schema.get("required", ()))
    fields = []
    for attribute, declared in model.model_fields.items():
        name, *aliases = _input_names(attribute, declared)
        raw = schema["properties"][name]
        resolved, nullable = _resolve(raw, definitions)
        examples = raw.get("examples") or []
        fields.append(
            InputField(
                name=name,
                aliases=tuple(aliases),
                type_info=_type_info(resolved, definitions, depth=0),
                required=name in required,
                nullable=nullable,
                hidden=name.startswith("_") or name == "connection_id",
                enum=tuple(_enumeration(resolved)),
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
    resolved, nullable = _resolve(schema, definitions)
    document = _type_info(resolved, definitions, depth=0)
    if resolved.get("description"):
        document["description"] = resolved["description"]
    if nullable:
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


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Follow references and take `null` out of a union: (schema, nullable)."""
    nullable = False
    for _ in range(_MAXIMUM_DEPTH):
        if "$ref" in schema:
            schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
            continue
        options = schema.get("anyOf") or schema.get("oneOf")
        if not options:
            break
        others = [option for option in options if option.get("type") != "null"]
        nullable = nullable or len(others) < len(options)
        if len(others) != 1:
            return {}, nullable
        schema = others[0]
    return schema, nullable


def _enumeration(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _type_info(schema: Mapping[str, Any], definitions: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
    name = schema.get("type")
    if not isinstance(name, str) or name not in _SIMPLE_TYPES:
        return {"type": "any"}
    document: dict[str, Any] = {"type": name}
    if name == "number":
        document["format"] = "double"
    elif "format" in schema:
        document["format"] = schema["format"]
    if depth >= _MAXIMUM_DEPTH:  # a recursive model: its inside is left out
        return document
    if name == "array":
        items, nullable = _resolve(schema.get("items", {}), definitions)
        document["items"] = _type_info(items, definitions, depth=depth + 1)
        if nullable:
            document["items"]["nullable"] = True
    if name == "object" and schema.get("properties"):
        document["fields"] = [
            _output_field(field, raw, definitions, depth=depth + 1) for field, raw in schema["properties"].items()
        ]
    return document


def _output_field(name: str, raw: Mapping[str, Any], definitions: Mapping[str, Any], *, depth: int) -> dict[str, Any]:
    resolved, nullable = _resolve(raw, definitions)
    document: dict[str, Any] = {"name": name, **_type_info(resolved, definitions, depth=depth)}
    for key, source in (("displayName", "title"), ("description", "description")):
        if raw.get(source):
            document[key] = raw[source]
    if raw.get("examples"):
        document["example"] = raw["examples"][0]
    if nullable:
        document["nullable"] = True
    return document
