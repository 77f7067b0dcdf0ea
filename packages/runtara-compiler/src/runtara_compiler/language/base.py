"""What all models of the scenario language share."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Item = TypeVar("Item")

# The largest integer that JSON readers of every language keep exactly.
MAXIMUM_INTEGER = 2**53 - 1

Sequence = Annotated[tuple[Item, ...], Field(strict=False)]
"""A JSON array kept as an immutable tuple; only the container is converted, its items stay strict."""

Count = Annotated[int, Field(ge=0, le=MAXIMUM_INTEGER)]
Milliseconds = Annotated[int, Field(ge=0, le=MAXIMUM_INTEGER)]


class LanguageModel(BaseModel):
    """A frozen part of a scenario: camelCase in JSON, no unknown fields, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True)

    @classmethod
    def json_fields(cls) -> frozenset[str]:
        """The names that this part may have in a JSON document."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())
