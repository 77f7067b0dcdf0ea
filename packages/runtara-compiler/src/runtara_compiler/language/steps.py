"""The step types that this version compiles, and the names of those that it does not."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, JsonValue

from runtara_compiler.language.base import Count, LanguageModel, Milliseconds
from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.mapping import InputMapping, MappingValue

DEFAULT_MAX_RETRIES = 3
DEFAULT_RETRY_DELAY_MS = 1000


class LogLevel(StrEnum):
    """The level of a Log step."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class BaseStep(LanguageModel):
    """What every step has. `position` is of the editor and stays opaque."""

    unnamed: ClassVar[str] = "Unnamed"

    id: str
    name: str | None = None
    position: JsonValue = None

    @property
    def display_name(self) -> str:
        """The name to show; steps without one share a stock name."""
        return self.name if self.name is not None else self.unnamed


class AgentStep(BaseStep):
    """Calls one capability of an agent, durably.

    Attributes:
        max_retries: further attempts after the first.
        retry_delay_ms: wait before the second attempt; it doubles with each further one.
        timeout_ms: kept, not enforced by this version (W071).
        compensation: kept, never executed (W061).
    """

    step_type: Literal["Agent"] = "Agent"
    agent_id: str
    capability_id: str
    input_mapping: InputMapping = Field(default_factory=dict)
    max_retries: Count = DEFAULT_MAX_RETRIES
    retry_delay_ms: Milliseconds = Field(DEFAULT_RETRY_DELAY_MS, alias="retryDelay")
    timeout_ms: Milliseconds | None = Field(None, alias="timeout")
    compensation: JsonValue = None


class ConditionalStep(BaseStep):
    """Evaluates a condition and follows its `true` or `false` edges."""

    step_type: Literal["Conditional"] = "Conditional"
    condition: Condition


class FinishStep(BaseStep):
    """Ends the graph at once; its mapping is the result."""

    unnamed: ClassVar[str] = "Finish"

    step_type: Literal["Finish"] = "Finish"
    input_mapping: InputMapping = Field(default_factory=dict)


class LogStep(BaseStep):
    """Emits a `workflow_log` event; the message is static."""

    step_type: Literal["Log"] = "Log"
    level: Annotated[LogLevel, Field(strict=False)] = LogLevel.INFO
    message: str
    context: InputMapping = Field(default_factory=dict)


class DelayStep(BaseStep):
    """Sleeps durably for `duration_ms` milliseconds."""

    step_type: Literal["Delay"] = "Delay"
    duration_ms: MappingValue


Step: TypeAlias = Annotated[
    AgentStep | ConditionalStep | FinishStep | LogStep | DelayStep, Field(discriminator="step_type")
]

STEP_MODELS: dict[str, type[BaseStep]] = {
    "Agent": AgentStep,
    "Conditional": ConditionalStep,
    "Delay": DelayStep,
    "Finish": FinishStep,
    "Log": LogStep,
}
"""Step types that compile."""

UNSUPPORTED_STEP_TYPES = frozenset(
    {
        "AiAgent",
        "Connection",
        "EmbedWorkflow",
        "Error",
        "Filter",
        "GroupBy",
        "Split",
        "StartScenario",
        "Switch",
        "WaitForSignal",
        "While",
    }
)
"""Step types of the language that this version refuses."""
