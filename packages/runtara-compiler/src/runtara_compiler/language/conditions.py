"""Conditions: operations over mapping values, and bare values judged by their truth."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from runtara_compiler.language.base import LanguageModel, Sequence
from runtara_compiler.language.mapping import Immediate, Reference


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
    value_type: Literal["reference", "immediate"]
    value: JsonValue
    default: JsonValue = None

    @model_validator(mode="after")
    def _check_value(self) -> ValueCondition:
        if self.value_type == "reference" and not isinstance(self.value, str):
            raise PydanticCustomError("reference_path", "the value of a reference must be a path (a string)")
        if self.value_type == "immediate" and "default" in self.model_fields_set:
            raise PydanticCustomError("immediate_default", "an immediate value takes no 'default'")
        return self

    @property
    def mapping_value(self) -> Reference | Immediate:
        """The same value in the form that steps use."""
        if self.value_type == "immediate":
            return Immediate(value=self.value)
        path = str(self.value)
        if "default" in self.model_fields_set:
            return Reference(value=path, default=self.default)
        return Reference(value=path)


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
    return str(value_type) if value_type in ("reference", "immediate") else None


ConditionArgument: TypeAlias = Annotated[
    Annotated[Operation, Tag("operation")]
    | Annotated[ValueCondition, Tag("value")]
    | Annotated[Reference, Tag("reference")]
    | Annotated[Immediate, Tag("immediate")],
    Discriminator(condition_kind),
]
Condition: TypeAlias = Annotated[Operation | ValueCondition, Field(discriminator="type")]

Operation.model_rebuild()
