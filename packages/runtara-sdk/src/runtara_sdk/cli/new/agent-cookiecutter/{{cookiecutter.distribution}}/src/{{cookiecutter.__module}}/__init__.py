"""{{ cookiecutter.__quoted_description }}"""

from __future__ import annotations

from runtara_sdk.agents import AgentDefinition

from {{ cookiecutter.__module }}.agent import {{ cookiecutter.name }}_agent

__version__ = "0.1.0"

__all__ = [{{ ['runtara_agents', cookiecutter.name ~ '_agent'] | sort | map('tojson') | join(', ') }}]


def runtara_agents() -> list[AgentDefinition]:
    """The agents of this plugin. Each of them is a public name of this module, by which workflows import it."""
    return [{{ cookiecutter.name }}_agent]
