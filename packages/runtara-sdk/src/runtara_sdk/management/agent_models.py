"""What a management client gets back about agents: the agent metadata, read into values with names.

Each value keeps the JSON object that it was read from, `document`, whose keys are those of `runtara agents list --json`
and `runtara agents show --json`; there is also what this version of the SDK does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from runtara_sdk.errors import ProtocolError
from runtara_sdk.instance_error import InstanceError


@dataclass(frozen=True, slots=True)
class CapabilityField:
    """An input of a capability.

    Attributes:
        name: of the input.
        type: string, boolean, integer, number, array, object, any or null.
        required: whether a step has to give it.
        description: for people; None without one.
        default: its value where it is left out; None without one.
        enum: the values that are accepted; empty for any.
        document: all that is known, as JSON.
    """

    name: str
    type: str
    required: bool
    description: str | None
    default: Any
    enum: tuple[Any, ...]
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read a CapabilityField."""
        return cls(
            name=_text(document, "name"),
            type=_text(document, "type"),
            required=document.get("required") is True,
            description=document.get("description"),
            default=document.get("default"),
            enum=tuple(document.get("enum") or ()),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class KnownError:
    """An error that a capability declares.

    Attributes:
        code: stable name.
        description: for people.
        kind: `transient` or `permanent`.
    """

    code: str
    description: str
    kind: str

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read a KnownErrorInfo."""
        return cls(_text(document, "code"), document.get("description") or "", document.get("kind") or "")


@dataclass(frozen=True, slots=True)
class CapabilityInfo:
    """A capability of an agent.

    Attributes:
        capability_id: of the capability; `aliases` are other names for it.
        display_name: for people.
        description: one sentence.
        aliases: other ids.
        inputs: what it takes.
        output: the type of its result, as FieldTypeInfo.
        has_side_effects: whether a call changes anything outside.
        is_idempotent: whether two calls do the same as one.
        rate_limited: whether a service bounds how often it is called.
        effect: what may be done about a call that was cut off: `pure`, `idempotent`, `keyed` or `at_most_once`.
        known_errors: errors that it declares.
        tags: for listings.
        input_schema: JSON Schema of the inputs; None in a list of agents.
        output_schema: JSON Schema of the result; None in a list of agents.
        document: all that is known, as JSON.
    """

    capability_id: str
    display_name: str
    description: str
    aliases: tuple[str, ...]
    inputs: tuple[CapabilityField, ...]
    output: Mapping[str, Any]
    has_side_effects: bool
    is_idempotent: bool
    rate_limited: bool
    effect: str
    known_errors: tuple[KnownError, ...]
    tags: tuple[str, ...]
    input_schema: Mapping[str, Any] | None
    output_schema: Mapping[str, Any] | None
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read a CapabilityInfo."""
        capability_id = _text(document, "id")
        return cls(
            capability_id=capability_id,
            display_name=document.get("displayName") or capability_id,
            description=document.get("description") or "",
            aliases=tuple(document.get("aliases") or ()),
            inputs=tuple(CapabilityField.parse(each) for each in _objects(document, "inputs")),
            output=document.get("output") or {},
            has_side_effects=document.get("hasSideEffects") is True,
            is_idempotent=document.get("isIdempotent") is True,
            rate_limited=document.get("rateLimited") is True,
            effect=document.get("effect") or "",
            known_errors=tuple(KnownError.parse(each) for each in _objects(document, "knownErrors")),
            tags=tuple(document.get("tags") or ()),
            input_schema=document.get("inputSchema"),
            output_schema=document.get("outputSchema"),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class AgentInfo:
    """An agent that workflows of the environment may use.

    Attributes:
        agent_id: of the agent.
        name: for people.
        description: one sentence.
        category: groups agents in listings.
        has_side_effects: whether any of its capabilities changes anything outside.
        supports_connections: whether it takes connections, of the types `integration_ids`.
        secure: whether it may receive the credentials of a connection.
        capabilities: what it can do.
        document: all that is known, as JSON.
    """

    agent_id: str
    name: str
    description: str
    category: str
    has_side_effects: bool
    supports_connections: bool
    integration_ids: tuple[str, ...]
    secure: bool
    capabilities: tuple[CapabilityInfo, ...]
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Read an AgentInfo."""
        agent_id = _text(document, "id")
        return cls(
            agent_id=agent_id,
            name=document.get("name") or agent_id,
            description=document.get("description") or "",
            category=document.get("category") or "",
            has_side_effects=document.get("hasSideEffects") is True,
            supports_connections=document.get("supportsConnections") is True,
            integration_ids=tuple(document.get("integrationIds") or ()),
            secure=document.get("secure") is True,
            capabilities=tuple(CapabilityInfo.parse(each) for each in _objects(document, "capabilities")),
            document=document,
        )


@dataclass(frozen=True, slots=True)
class CapabilityTestResult:
    """What came of one call of a capability.

    Attributes:
        success: whether it gave a result.
        output: the result, a JSON value; None when it failed.
        error: why it failed, with code, message and category; None when it did not.
        execution_time_ms: how long it took, with the start of the process that made the call.
    """

    success: bool
    output: Any
    error: InstanceError | None
    execution_time_ms: int


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"the environment sent agent metadata without a text {key!r}")
    return value


def _objects(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ProtocolError(f"the environment sent agent metadata whose {key!r} is no list of objects")
    return value
