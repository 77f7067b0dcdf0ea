"""The bundle that `RUNTARA_STDLIB_NAME=acme_stdlib` names."""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition
from runtara_workflow_stdlib import runtara_agents as standard_agents

from acme_stdlib.orders import orders_agent

__all__ = ["orders_agent", "runtara_agents"]


def runtara_agents() -> list[AgentDefinition]:
    """The standard agents but for HTTP, which Acme's workflows reach through Acme's services only."""
    return [*(agent for agent in standard_agents() if agent.id != "http"), orders_agent]
