"""Writing, finding and calling agents.

Importing this package costs little more than pydantic; discovery, which reads the metadata of all installed
distributions, is loaded when `discover_agents` is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents.capability import Capability, EffectClass, Example, KnownError, LargeResults, capability
from runtara_sdk.agents.connection_types import AuthType, ConnectionCategory, ConnectionField, ConnectionType
from runtara_sdk.agents.connections import RawConnection
from runtara_sdk.agents.context import Cancellation, CapabilityContext
from runtara_sdk.agents.definition import AgentDefinition, agent
from runtara_sdk.agents.durable import DurableParts
from runtara_sdk.agents.errors import AgentDefinitionError, AgentError, ErrorCategory, ErrorSeverity
from runtara_sdk.agents.files import FileData, FileInput, FileReference
from runtara_sdk.agents.schema import InputField
from runtara_sdk.agents.secrets import Secrets

if TYPE_CHECKING:
    from runtara_sdk.agents.discovered_agent import DiscoveredAgent
    from runtara_sdk.agents.discovery import BrokenPlugin, DiscoveredAgents, discover_agents

__all__ = [
    "AgentDefinition",
    "AgentDefinitionError",
    "AgentError",
    "AuthType",
    "BrokenPlugin",
    "Cancellation",
    "Capability",
    "CapabilityContext",
    "ConnectionCategory",
    "ConnectionField",
    "ConnectionType",
    "DiscoveredAgent",
    "DiscoveredAgents",
    "DurableParts",
    "EffectClass",
    "ErrorCategory",
    "ErrorSeverity",
    "Example",
    "FileData",
    "FileInput",
    "FileReference",
    "InputField",
    "KnownError",
    "LargeResults",
    "RawConnection",
    "Secrets",
    "agent",
    "capability",
    "discover_agents",
]

_DISCOVERY = {
    "BrokenPlugin": "discovery",
    "DiscoveredAgent": "discovered_agent",
    "DiscoveredAgents": "discovery",
    "discover_agents": "discovery",
}


def __getattr__(name: str) -> Any:
    if name in _DISCOVERY:
        return getattr(import_module(f"{__name__}.{_DISCOVERY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
