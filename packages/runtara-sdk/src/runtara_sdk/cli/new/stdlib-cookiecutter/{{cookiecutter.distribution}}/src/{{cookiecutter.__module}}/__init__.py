"""{{ cookiecutter.__quoted_description }}

`RUNTARA_STDLIB_NAME={{ cookiecutter.__module }}` selects this bundle.
"""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition
from runtara_workflow_stdlib import runtara_agents as standard_agents

from {{ cookiecutter.__module }}.agent import {{ cookiecutter.name }}_agent

__version__ = "0.1.0"

__all__ = ["LEFT_OUT", {{ ['runtara_agents', cookiecutter.name ~ '_agent'] | sort | map('tojson') | join(', ') }}]

LEFT_OUT = frozenset({"http"})
"""Ids of the standard agents that workflows of the product may not use."""


def runtara_agents() -> list[AgentDefinition]:
    """The agents that workflows may use, no more and no less."""
    kept = [agent for agent in standard_agents() if agent.id not in LEFT_OUT]
    return [*kept, {{ cookiecutter.name }}_agent]
