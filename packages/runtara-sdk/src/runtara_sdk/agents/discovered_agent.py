"""An agent that was found, and how a static import reaches it."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from types import ModuleType

from runtara_sdk.agents.definition import AgentDefinition


@dataclass(frozen=True, slots=True)
class DiscoveredAgent:
    """An agent and the static import that reaches it: `from <module> import <attribute>`."""

    definition: AgentDefinition
    distribution: str
    version: str
    module: str
    attribute: str


def public_name(module: ModuleType, definition: AgentDefinition) -> str | None:
    """The name under which a static import finds an agent in a module, if it is one of its public names."""
    for name, value in vars(module).items():
        if value is definition and name.isidentifier() and not keyword.iskeyword(name) and name[0] != "_":
            return name
    return None
