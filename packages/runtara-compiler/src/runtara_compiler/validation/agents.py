"""What validation needs to know of agents, read from their metadata documents (AgentInfo)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class InputView:
    """One input of a capability; `enum` is None when any value of the type is allowed.

    `constraints` are limits of the value in the words of JSON Schema.
    """

    name: str
    names: frozenset[str]
    type: str
    required: bool
    nullable: bool
    enum: tuple[Any, ...] | None
    constraints: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CapabilityView:
    """One capability with its inputs."""

    id: str
    inputs: tuple[InputView, ...]

    def find_input(self, name: str) -> InputView | None:
        """The input that takes values under a name: its own, an alias, or its name in camelCase."""
        return next((item for item in self.inputs if name in item.names), None)


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent; `capabilities` is keyed by id and by alias.

    `integrations` are the kinds of connections that it takes; `is_secure` says whether it may have their secrets.
    """

    id: str
    capabilities: Mapping[str, CapabilityView]
    integrations: tuple[str, ...] = ()
    is_secure: bool = False

    @property
    def capability_ids(self) -> frozenset[str]:
        """The ids, without the aliases."""
        return frozenset(item.id for item in self.capabilities.values())


class AgentCatalog:
    """The agents that a scenario may name; ids of agents are compared without regard to case."""

    def __init__(self, agents: Iterable[AgentView]) -> None:
        self._agents = {item.id.lower(): item for item in agents}

    @classmethod
    def from_metadata(cls, agents: Mapping[str, Mapping[str, Any]]) -> AgentCatalog:
        """Read AgentInfo documents by agent id, as `AgentDefinition.metadata()` gives them."""
        return cls(_agent_view(agent_id, document) for agent_id, document in agents.items())

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all agents."""
        return frozenset(item.id for item in self._agents.values())

    @property
    def integrations(self) -> frozenset[str]:
        """The kinds of connections that some agent takes."""
        return frozenset(name for agent in self._agents.values() for name in agent.integrations)

    @property
    def secure_ids(self) -> frozenset[str]:
        """The agents that may have secrets."""
        return frozenset(agent.id for agent in self._agents.values() if agent.is_secure)

    def find(self, agent_id: str) -> AgentView | None:
        """The agent of an id, or None."""
        return self._agents.get(agent_id.lower())


def _agent_view(agent_id: str, document: Mapping[str, Any]) -> AgentView:
    capabilities: dict[str, CapabilityView] = {}
    for item in document.get("capabilities") or ():
        view = CapabilityView(
            id=str(item["id"]), inputs=tuple(_input_view(field) for field in item.get("inputs") or ())
        )
        for name in (view.id, *(item.get("aliases") or ())):
            capabilities.setdefault(str(name), view)
    integrations = tuple(str(name) for name in document.get("integrationIds") or ())
    return AgentView(str(document.get("id", agent_id)), capabilities, integrations, bool(document.get("secure")))


def _input_view(document: Mapping[str, Any]) -> InputView:
    name = str(document["name"])
    enum = document.get("enum")
    declared = document.get("type")
    return InputView(
        name=name,
        names=frozenset({name, to_camel(name), *(str(alias) for alias in document.get("aliases") or ())}),
        type=declared if isinstance(declared, str) else "any",
        required=bool(document.get("required")),
        nullable=bool(document.get("nullable")) or not document.get("required"),
        enum=None if enum is None else tuple(enum),
        constraints=document.get("constraints") or {},
    )
