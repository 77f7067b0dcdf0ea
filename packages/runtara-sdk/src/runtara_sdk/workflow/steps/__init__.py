"""The step types, one module each."""

from runtara_sdk.workflow.steps.agent import AgentStep
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.steps.conditional import ConditionalStep
from runtara_sdk.workflow.steps.delay import DelayStep
from runtara_sdk.workflow.steps.finish import FinishStep
from runtara_sdk.workflow.steps.log import LogStep

__all__ = [
    "AgentStep",
    "ConditionalStep",
    "DelayStep",
    "FinishStep",
    "LogStep",
    "Outcome",
    "Step",
]
