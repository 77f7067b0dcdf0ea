"""Conditions: operations over mapping values, and bare values judged by their truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from runtara_compiler.language.base import LanguageModel, Part, Sequence
from runtara_compiler.language.mapping import VALUE_MODELS, Composite, Immediate, MappingValue, Reference, Template


class Operator(StrEnum):
    """The operators of a condition."""

    AND = "AND"
    OR = "OR"
    NOT = "NOT"
    EQ = "EQ"
    NE = "NE"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    CONTAINS = "CONTAINS"
    IN = "IN"
    NOT_IN = "NOT_IN"
    LENGTH = "LENGTH"
    IS_DEFINED = "IS_DEFINED"
    IS_EMPTY = "IS_EMPTY"
    IS_NOT_EMPTY = "IS_NOT_EMPTY"


class ValueCondition(LanguageModel):
    """The truth of one mapping value. Its `type` is taken, so a reference here has no type hint."""

    type: Literal["value"] = "value"
    mapping_value: MappingValue


class Operation(LanguageModel):
    """An operator over arguments; each is a nested condition or a mapping value."""

    type: Literal["operation"] = "operation"
    op: Annotated[Operator, Field(strict=False)]
    arguments: Sequence[ConditionArgument] = ()


def condition_kind(value: Any) -> str | None:
    """Which form a condition or an argument has, by its own fields: the tag of the union below, or None."""
    if isinstance(value, dict):
        declared, value_type = value.get("type"), value.get("valueType", value.get("value_type"))
    else:
        declared, value_type = getattr(value, "type", None), getattr(value, "value_type", None)
    # A reference has a `type` of its own, its hint, so only these two names make an expression.
    if declared in ("operation", "value"):
        return str(declared)
    return value_type if isinstance(value_type, str) and value_type in VALUE_MODELS else None


ConditionArgument: TypeAlias = Annotated[
    Annotated[Operation, Tag("operation")]
    | Annotated[ValueCondition, Tag("value")]
    | Annotated[Reference, Tag("reference")]
    | Annotated[Immediate, Tag("immediate")]
    | Annotated[Composite, Tag("composite")]
    | Annotated[Template, Tag("template")],
    Discriminator(condition_kind),
]
Condition: TypeAlias = Annotated[Operation | ValueCondition, Field(discriminator="type"), Part.CONDITION]

Operation.model_rebuild()
