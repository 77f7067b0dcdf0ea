"""What all models of the scenario language share."""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")

# The largest integer that JSON readers of every language keep exactly.
MAXIMUM_INTEGER = 2**53 - 1

Constant: TypeAlias = Any
"""A JSON value as the document holds it; to validate it as JSON once more would turn its decimals into doubles."""

Sequence = Annotated[tuple[Item, ...], Field(strict=False)]
"""A JSON array kept as an immutable tuple; only the container is converted, its items stay strict."""

Count = Annotated[int, Field(ge=0, le=MAXIMUM_INTEGER)]
Milliseconds = Annotated[int, Field(ge=0, le=MAXIMUM_INTEGER)]


class Part(Enum):
    """What the reader of documents has to know of a field whose type does not say it."""

    VALUE = auto()
    """A mapping value."""
    NESTED_VALUE = auto()
    """Any JSON in which objects with `valueType` and `value` are mapping values."""
    CONDITION = auto()


class LanguageModel(BaseModel):
    """A frozen part of a scenario: camelCase in JSON, no unknown fields, no silent conversion of types.

    Attributes:
        old_names: names of old documents to current ones; read, with a warning.
        synonyms: names of newer documents to current ones; read, without a warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)

    old_names: ClassVar[dict[str, str]] = {}
    synonyms: ClassVar[dict[str, str]] = {}

    @classmethod
    def json_fields(cls) -> frozenset[str]:
        """The names that this part may have in a JSON document."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())
