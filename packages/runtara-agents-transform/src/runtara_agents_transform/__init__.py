"""Data transformation agent for Runtara workflows."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from runtara_agents_transform.mapping import MapFieldsInput, MapFieldsOutput, map_fields

__version__ = "0.1.0"

__all__ = ["MapFieldsInput", "MapFieldsOutput", "map_fields", "runtara_agents", "transform_agent"]

transform_agent = AgentDefinition(
    id="transform",
    name="Transform",
    description="Reshapes JSON data.",
    category="data",
    capabilities=[map_fields],
)


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this distribution."""
    return [transform_agent]
