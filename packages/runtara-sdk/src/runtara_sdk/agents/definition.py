"""Agents: named sets of capabilities."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from runtara_sdk.agents.capability import Capability, declared_capability
from runtara_sdk.agents.connection_types import ConnectionType, one_of_each
from runtara_sdk.agents.context import CapabilityContext
from runtara_sdk.agents.errors import UNKNOWN_CAPABILITY, AgentDefinitionError, AgentError
from runtara_sdk.agents.execution import invoke_capability
from runtara_sdk.agents.secrets import Secrets

AGENT_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""What ids of agents look like."""

_MARK = "__runtara_agent__"

AgentClass = TypeVar("AgentClass", bound=type)


class AgentDefinition:
    """An agent: what the compiler, the listings and the running workflow know of it.

    A plugin keeps its definition in a module-level name: `AgentDefinition.of(MyAgent())` for an `@agent` class, or
    `AgentDefinition(id=..., capabilities=[function, ...])` for plain `@capability` functions.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the name that the agent model gives it
        capabilities: Iterable[Callable[..., Any]],
        name: str | None = None,
        description: str | None = None,
        category: str = "other",
        connection_types: Iterable[ConnectionType] = (),
        secure: bool = False,
        close: Callable[[], Any] | None = None,
    ) -> None:
        """Define an agent.

        Args:
            id: lower-case words with underscores.
            capabilities: functions or bound methods decorated with `@capability`.
            name: for listings; the id in title case when left out.
            description: one sentence.
            category: groups agents in listings.
            connection_types: the kinds of connections that its capabilities take as `_connection`.
            secure: whether it may receive the credentials of a connection.
            close: function, synchronous or not, that releases what the agent holds (connections, for example).

        Raises:
            AgentDefinitionError: the id is malformed, a function is not a capability, or two capabilities share an id.
        """
        if not AGENT_ID.fullmatch(id):
            raise AgentDefinitionError(f"agent id {id!r} must be lower-case words with underscores")
        self.id = id
        self.name = name or id.replace("_", " ").title()
        self.description = description or f"{self.name} agent"
        self.category = category
        self.connection_types = tuple(one_of_each(connection_types).values())
        self.integration_ids = tuple(each.integration_id for each in self.connection_types)
        self.secure = secure
        self._close = close
        self._lookup: dict[str, Capability] = {}
        self.capabilities: tuple[Capability, ...] = tuple(self._add(function) for function in capabilities)
        if not self.capabilities:
            raise AgentDefinitionError(f"agent {id!r} has no capability: decorate functions with @capability")

    @classmethod
    def of(cls, instance: object) -> AgentDefinition:
        """The definition of an object whose class is decorated with `@agent`.

        A `close` method of the object is what `AgentDefinition.close` calls.
        """
        declared: Mapping[str, Any] | None = getattr(type(instance), _MARK, None)
        if declared is None:
            raise AgentDefinitionError(f"{type(instance).__qualname__} is not decorated with @agent")
        names = dict.fromkeys(name for base in reversed(type(instance).__mro__) for name in vars(base))
        methods = [
            getattr(instance, name)
            for name in names
            if declared_capability(inspect.getattr_static(instance, name)) is not None
        ]
        return cls(capabilities=methods, close=getattr(instance, "close", None), **declared)

    def __repr__(self) -> str:
        return f"AgentDefinition(id={self.id!r}, capabilities={[item.id for item in self.capabilities]})"

    def find_capability(self, id_or_alias: str) -> Capability | None:
        """The capability with exactly this id or alias, or None."""
        return self._lookup.get(id_or_alias)

    def capability(self, id_or_alias: str) -> Capability:
        """The capability with exactly this id or alias.

        Raises:
            AgentError: permanent UNKNOWN_CAPABILITY, with the nearest id when one is close.
        """
        found = self._lookup.get(id_or_alias)
        if found is not None:
            return found
        near = difflib.get_close_matches(id_or_alias[:100], self._lookup, n=1)
        known = ", ".join(item.id for item in self.capabilities[:20])
        hint = f"did you mean {near[0]!r}?" if near else f"it has {known}"
        raise AgentError.permanent(
            UNKNOWN_CAPABILITY, f"agent {self.id!r} has no capability {id_or_alias[:100]!r}; {hint}"
        )

    async def invoke(
        self, capability_id: str, inputs: Mapping[str, Any], context: CapabilityContext | None = None
    ) -> Any:
        """Run a capability and return its result as a JSON value.

        Args:
            capability_id: id or alias.
            inputs: JSON object; unknown keys are ignored, camelCase forms of the names accepted.
            context: of the calling step. Its deadline is enforced; `cancellation` is made anew for every call.

        Raises:
            AgentError: every failure; interruptions and cancellation pass through as they are.
        """
        capability = self.capability(capability_id)
        context = context or CapabilityContext()
        if isinstance(inputs, Mapping) and inputs.get("_connection") is not None:
            context = replace(context, secrets=self._secrets_of(inputs["_connection"]))
        return await invoke_capability(self.id, capability, inputs, context)

    def _secrets_of(self, connection: Any) -> Secrets:
        declared = [field.name for each in self.connection_types for field in each.fields if field.secret]
        return Secrets.of_connection(connection, declared)

    async def close(self) -> None:
        """Release what the agent holds for the running event loop. Calling again does nothing."""
        if self._close is not None:
            result = self._close()
            if inspect.isawaitable(result):
                await result

    def metadata(self) -> dict[str, Any]:
        """AgentInfo of the agent metadata: a JSON object with camelCase keys."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "hasSideEffects": any(item.side_effects for item in self.capabilities),
            "supportsConnections": bool(self.integration_ids),
            "integrationIds": list(self.integration_ids),
            "secure": self.secure,
            "capabilities": [item.metadata() for item in self.capabilities],
        }

    def _add(self, function: Callable[..., Any]) -> Capability:
        declared = declared_capability(function)
        if declared is None:
            raise AgentDefinitionError(f"agent {self.id!r}: {function!r} is not decorated with @capability")
        for name in (declared.id, *declared.aliases):
            if name in self._lookup:
                raise AgentDefinitionError(f"agent {self.id!r}: two capabilities are called {name!r}")
            self._lookup[name] = declared
        return declared


def agent(
    id: str,  # noqa: A002 - the name that the agent model gives it
    *,
    name: str | None = None,
    description: str | None = None,
    category: str = "other",
    connection_types: Iterable[ConnectionType] = (),
    secure: bool = False,
) -> Callable[[AgentClass], AgentClass]:
    """Declare a class with `@capability` methods to be an agent; arguments as of `AgentDefinition`.

    The class is returned unchanged; `AgentDefinition.of(TheClass())` makes the definition.
    """
    declared = {
        "id": id,
        "name": name,
        "description": description,
        "category": category,
        "connection_types": tuple(connection_types),
        "secure": secure,
    }

    def declare(decorated: AgentClass) -> AgentClass:
        if declared["description"] is None:
            declared["description"] = (inspect.getdoc(decorated) or "").partition("\n")[0] or None
        setattr(decorated, _MARK, declared)
        return decorated

    return declare
