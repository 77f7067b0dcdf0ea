"""An agent as it is installed."""

from __future__ import annotations

from typing import ClassVar

from runtara_sdk.agents.discovered_agent import DiscoveredAgent
from runtara_sdk.agents.discovery import discover_agents
from runtara_sdk.plugins import BUNDLE_VARIABLE
from runtara_sdk.testing.agent_checks.calls import AgentCalls


class InstalledAgentCalls(AgentCalls):
    """Knows where the agent is installed.

    Attributes:
        installed: whether the agent is installed, as a plugin or in a bundle, so that discovery must find it.
        bundle: module of the product's bundle that offers the agent, where no plugin does.
    """

    installed: ClassVar[bool] = True
    bundle: ClassVar[str | None] = None

    def _discovered(self) -> DiscoveredAgent:
        installed = discover_agents(variables={} if self.bundle is None else {BUNDLE_VARIABLE: self.bundle})
        found = installed.find(self.agent.id)
        if found is None:
            reasons = "; ".join(f"{plugin.name}: {plugin.reason}" for plugin in installed.broken)
            raise AssertionError(
                f"agent {self.agent.id!r} is not an installed plugin: install its distribution, and name its module in "
                f"the entry points of the group runtara.agents. Broken plugins: {reasons or 'none'}"
            )
        return found
