"""`map-fields`: a new object from chosen parts of another value."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, BaseModel, Field
from runtara_sdk.agents import capability

from runtara_agents_transform.paths import PATH_ERRORS, read_path


class MapFieldsInput(BaseModel):
    """What to read, and where each part goes."""

    source_data: Any = Field(
        validation_alias=AliasChoices("source_data", "source"),
        title="Source data",
        description="The value to read from.",
        examples=[{"customer": {"name": "Ada"}}],
    )
    mappings: dict[str, str] | None = Field(
        default=None,
        title="Mappings",
        description="Path in the source -> name in the result. Missing and null parts are left out.",
        examples=[{"customer.name": "name"}],
    )
    mapping: dict[str, str] | None = Field(
        default=None,
        title="Mapping by target",
        description="The other way round: name in the result -> path in the source. Applied after `mappings`.",
        examples=[{"name": "customer.name"}],
    )


class MapFieldsOutput(BaseModel):
    """The new value."""

    result: Any = Field(description="The new object; the source itself when no mapping is given.")
    field_count: int = Field(description="How many fields the result has; 0 when it is not an object.")


@capability(
    id="map-fields",
    aliases=("map",),
    display_name="Map Fields",
    description="Makes a new object from chosen parts of a value; without a mapping the source passes through.",
    known_errors=PATH_ERRORS,
    runs_inline=True,
)
def map_fields(inputs: MapFieldsInput) -> MapFieldsOutput:
    """Build the mapped object."""
    if inputs.mappings is None and inputs.mapping is None:
        source = inputs.source_data
        return MapFieldsOutput(result=source, field_count=len(source) if isinstance(source, dict) else 0)
    result: dict[str, Any] = {}
    by_source = [(path, target) for path, target in (inputs.mappings or {}).items()]
    by_target = [(path, target) for target, path in (inputs.mapping or {}).items()]
    for path, target in by_source + by_target:
        found = read_path(inputs.source_data, path)
        if found is not None:
            result[target] = found
    return MapFieldsOutput(result=result, field_count=len(result))
