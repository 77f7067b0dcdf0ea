"""The standard bundle: every installed agent. A product's own bundle starts from it.

from runtara_workflow_stdlib import runtara_agents as standard_agents

from my_product_stdlib.orders import orders_agent

def runtara_agents():
return [*(agent for agent in standard_agents() if agent.id != "http"), orders_agent]
"""

from __future__ import annotations

import os

from runtara_sdk.agents import AgentDefinition, discover_agents
from runtara_sdk.plugins import BUNDLE_VARIABLE

__all__ = ["runtara_agents"]


def runtara_agents() -> list[AgentDefinition]:
    """The agents of all installed plugins, by id, without those that RUNTARA_DISABLE_PLUGINS switches off."""
    # Without the bundle: the one that is being put together may be the product's, which asks here.
    variables = {name: value for name, value in os.environ.items() if name != BUNDLE_VARIABLE}
    installed = discover_agents(variables=variables).agents
    return [installed[agent_id].definition for agent_id in sorted(installed)]
