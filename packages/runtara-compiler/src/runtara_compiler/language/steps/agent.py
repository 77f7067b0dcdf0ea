"""Agent: one call of a capability."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.base import Constant, Count, Milliseconds
from runtara_compiler.language.mapping import InputMapping, MappingValue
from runtara_compiler.language.steps.base import DEFAULT_MAX_RETRIES, DEFAULT_RETRY_DELAY_MS, BaseStep


class AgentStep(BaseStep):
    """Calls one capability of an agent, durably.

    Attributes:
        connection_id: the stored connection whose credentials the capability gets.
        connection_ref: gives the id of that connection when the step runs; it goes before `connectionId`.
        max_retries: further attempts after the first.
        retry_delay_ms: wait before the second attempt; it doubles with each further one.
        timeout_ms: bound of one attempt.
        compensation: kept, never executed (W061).
    """

    old_names: ClassVar[dict[str, str]] = {"operatorId": "agentId", "operationId": "capabilityId"}

    step_type: Literal["Agent"] = "Agent"
    agent_id: str
    capability_id: str
    connection_id: str | None = None
    connection_ref: MappingValue | None = None
    input_mapping: InputMapping = Field(default_factory=dict)
    max_retries: Count = DEFAULT_MAX_RETRIES
    retry_delay_ms: Milliseconds = Field(DEFAULT_RETRY_DELAY_MS, alias="retryDelay")
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    compensation: Constant = None
