"""Data transformation agent for Runtara workflows."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_transform import arrays, combining, fields, grouping, reading, selecting
from runtara_agents_transform.mapping import MapFieldsInput, MapFieldsOutput, map_fields

__version__ = "0.1.0"

__all__ = ["MapFieldsInput", "MapFieldsOutput", "map_fields", "runtara_agents", "transform_agent"]

transform_agent = AgentDefinition(
    id="transform",
    name="Transform",
    description="Reshapes JSON data.",
    category="data",
    capabilities=[
        map_fields,
        reading.extract,
        reading.get_value_by_path,
        reading.set_value_by_path,
        reading.from_json_string,
        reading.to_json_string,
        selecting.filter_array,
        selecting.filter_non_values,
        selecting.select_first,
        selecting.coalesce,
        selecting.unique,
        selecting.slice_array,
        selecting.chunk,
        arrays.append,
        arrays.flat_map,
        arrays.array_length,
        arrays.ensure_array,
        arrays.sort,
        grouping.group_by,
        grouping.aggregate,
        combining.merge,
        combining.lookup,
        combining.compare_lists,
        fields.pick_fields,
        fields.omit_fields,
        fields.rename_fields,
        fields.convert_types,
        fields.validate_schema,
    ],
)


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this distribution."""
    return [transform_agent]
