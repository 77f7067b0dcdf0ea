"""Schemas of inputs and outputs, as a scenario declares them."""

from __future__ import annotations

from typing import Literal, TypeAlias

from runtara_compiler.language.base import Constant, LanguageModel, Sequence

FieldType: TypeAlias = Literal["string", "integer", "number", "boolean", "array", "object", "file"]


class VisibleWhen(LanguageModel):
    """A form hint: show the field only for certain values of another."""

    field: str
    equals: Constant = None
    not_equals: Constant = None


class SchemaField(LanguageModel):
    """One field of an input or output schema."""

    type: FieldType
    description: str | None = None
    required: bool = False
    default: Constant = None
    example: Constant = None
    enum: Sequence[Constant] | None = None
    items: SchemaField | None = None
    properties: dict[str, SchemaField] | None = None
    label: str | None = None
    placeholder: str | None = None
    order: int | None = None
    format: str | None = None
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    visible_when: VisibleWhen | None = None
    nullable: bool = False


SchemaMap: TypeAlias = dict[str, SchemaField]
"""Fields by name."""
