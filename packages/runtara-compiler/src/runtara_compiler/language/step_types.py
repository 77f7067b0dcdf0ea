"""The step types that this version compiles, by name, and the names of those that it does not."""

from __future__ import annotations

from runtara_compiler.language.graph import SplitStep, WaitForSignalStep, WhileStep
from runtara_compiler.language.steps import (
    AgentStep,
    BaseStep,
    ConditionalStep,
    ConnectionStep,
    DelayStep,
    ErrorStep,
    FilterStep,
    FinishStep,
    GroupByStep,
    LogStep,
    StartScenarioStep,
    SwitchStep,
)

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
