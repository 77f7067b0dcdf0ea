"""Mapping values: where a step's input comes from."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from runtara_compiler.language.base import Constant, LanguageModel, Part, Sequence
from runtara_compiler.language.paths import Segment, parse_path


class TypeHint(StrEnum):
    """The type to which a referenced value is converted."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    JSON = "json"
    FILE = "file"


class Reference(LanguageModel):
    """A value read by its path from the data, the variables or the record of an earlier step.

    Attributes:
        value: the path, see `runtara_compiler.language.paths`.
        type: the type to convert to; None keeps the value as it is.
        default: replaces null, missing and what cannot be converted; see `has_default`.
    """

    value_type: Literal["reference"] = "reference"
    value: str
    type: Annotated[TypeHint, Field(strict=False)] | None = None
    default: Constant = None

    @property
    def has_default(self) -> bool:
        """Whether the document gives a default, be it null."""
        return "default" in self.model_fields_set

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The parsed path; raises `PathSyntaxError`, which validation reports as E011."""
        return parse_path(self.value)


class Immediate(LanguageModel):
    """A literal: any JSON, taken as it stands."""

    value_type: Literal["immediate"] = "immediate"
    value: Constant


class Template(LanguageModel):
    """Text with placeholders, `{{ data.name }}`; the result is always a string."""

    value_type: Literal["template"] = "template"
    value: str


class Composite(LanguageModel):
    """An object or an array of further mapping values."""

    value_type: Literal["composite"] = "composite"
    value: dict[str, MappingValue] | Sequence[MappingValue]


MappingValue: TypeAlias = Annotated[
    Reference | Immediate | Composite | Template, Field(discriminator="value_type"), Part.VALUE
]
InputMapping: TypeAlias = dict[str, MappingValue]
"""Input name to value; a name with dots builds nested objects."""

NestedValue: TypeAlias = Annotated[
    Reference | Immediate | Composite | Template, Field(discriminator="value_type"), Part.NESTED_VALUE
]
"""JSON of the document in which objects with `valueType` and `value` are mapping values."""

VALUE_MODELS: dict[str, type[LanguageModel]] = {
    "reference": Reference,
    "immediate": Immediate,
    "composite": Composite,
    "template": Template,
}
"""The forms of a mapping value by `valueType`."""

Composite.model_rebuild()
