"""The step types that this version compiles, one module each, and the names of those that it does not."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from runtara_compiler.language.steps.agent import AgentStep
from runtara_compiler.language.steps.base import DEFAULT_MAX_RETRIES, DEFAULT_RETRY_DELAY_MS, BaseStep
from runtara_compiler.language.steps.conditional import ConditionalStep
from runtara_compiler.language.steps.connection import ConnectionStep
from runtara_compiler.language.steps.delay import DelayStep
from runtara_compiler.language.steps.error import ErrorStep
from runtara_compiler.language.steps.filter import FilterStep
from runtara_compiler.language.steps.finish import FinishStep
from runtara_compiler.language.steps.group_by import GroupByStep
from runtara_compiler.language.steps.log import LogLevel, LogStep
from runtara_compiler.language.steps.split import SplitStep
from runtara_compiler.language.steps.start_scenario import StartScenarioStep
from runtara_compiler.language.steps.switch import SwitchCase, SwitchStep
from runtara_compiler.language.steps.wait_for_signal import WaitAction, WaitForSignalStep
from runtara_compiler.language.steps.while_loop import WhileStep

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_RETRY_DELAY_MS",
    "STEP_MODELS",
    "STEP_TYPES",
    "STEP_TYPE_SYNONYMS",
    "UNSUPPORTED_STEP_TYPES",
    "AgentStep",
    "BaseStep",
    "ConditionalStep",
    "ConnectionStep",
    "DelayStep",
    "ErrorStep",
    "FilterStep",
    "FinishStep",
    "GroupByStep",
    "LogLevel",
    "LogStep",
    "SplitStep",
    "StartScenarioStep",
    "Step",
    "SwitchCase",
    "SwitchStep",
    "WaitAction",
    "WaitForSignalStep",
    "WhileStep",
]

Step: TypeAlias = Annotated[
    AgentStep
    | ConditionalStep
    | ConnectionStep
    | DelayStep
    | ErrorStep
    | FilterStep
    | FinishStep
    | GroupByStep
    | LogStep
    | SplitStep
    | StartScenarioStep
    | SwitchStep
    | WaitForSignalStep
    | WhileStep,
    Field(discriminator="step_type"),
]

STEP_MODELS: dict[str, type[BaseStep]] = {
    "Agent": AgentStep,
    "Conditional": ConditionalStep,
    "Connection": ConnectionStep,
    "Delay": DelayStep,
    "Error": ErrorStep,
    "Filter": FilterStep,
    "Finish": FinishStep,
    "GroupBy": GroupByStep,
    "Log": LogStep,
    "Split": SplitStep,
    "StartScenario": StartScenarioStep,
    "Switch": SwitchStep,
    "WaitForSignal": WaitForSignalStep,
    "While": WhileStep,
}
"""Step types that compile."""

STEP_TYPES = {model: name for name, model in STEP_MODELS.items()}
"""The name of each type."""

STEP_TYPE_SYNONYMS = {"EmbedWorkflow": "StartScenario"}
"""Names of newer documents: read, without a warning."""

UNSUPPORTED_STEP_TYPES = frozenset({"AiAgent"})
"""Step types of the language that this version refuses."""
