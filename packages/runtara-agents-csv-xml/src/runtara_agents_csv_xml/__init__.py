"""CSV agent for Runtara workflows."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin."""
    return []
