"""Data transformation agents for Runtara workflows: transform, text, utils, datetime and crypto.

All but `transform` are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentDefinition

from runtara_agents_transform import arrays, combining, fields, grouping, reading, selecting
from runtara_agents_transform.mapping import MapFieldsInput, MapFieldsOutput, map_fields, map_items

if TYPE_CHECKING:
    from runtara_agents_transform.dates import datetime_agent
    from runtara_agents_transform.hashes import crypto_agent
    from runtara_agents_transform.small_functions import utils_agent
    from runtara_agents_transform.text_format import text_agent

__version__ = "0.1.0"

__all__ = [
    "MapFieldsInput",
    "MapFieldsOutput",
    "crypto_agent",
    "datetime_agent",
    "map_fields",
    "runtara_agents",
    "text_agent",
    "transform_agent",
    "utils_agent",
]

_MODULES = {
    "text_agent": "text_format",
    "utils_agent": "small_functions",
    "datetime_agent": "dates",
    "crypto_agent": "hashes",
}

transform_agent = AgentDefinition(
    id="transform",
    name="Transform",
    description="Reshapes JSON data.",
    category="data",
    capabilities=[
        map_fields,
        map_items,
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


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    agent = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = agent
    return agent


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this distribution."""
    return [transform_agent, *(__getattr__(name) for name in _MODULES)]
