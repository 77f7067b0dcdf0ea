"""The step types, one module each."""

from runtara_sdk.workflow.steps.agent import AgentStep
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.steps.conditional import ConditionalStep
from runtara_sdk.workflow.steps.connection import ConnectionStep
from runtara_sdk.workflow.steps.delay import DelayStep
from runtara_sdk.workflow.steps.error import ErrorStep
from runtara_sdk.workflow.steps.filter import FilterStep
from runtara_sdk.workflow.steps.finish import FinishStep
from runtara_sdk.workflow.steps.group_by import GroupByStep
from runtara_sdk.workflow.steps.log import LogStep
from runtara_sdk.workflow.steps.split import SplitStep
from runtara_sdk.workflow.steps.start_scenario import StartScenarioStep
from runtara_sdk.workflow.steps.switch import Case, SwitchStep
from runtara_sdk.workflow.steps.wait_for_signal import WaitAction, WaitForSignalStep
from runtara_sdk.workflow.steps.while_loop import WhileStep

__all__ = [
    "AgentStep",
    "Case",
    "ConditionalStep",
    "ConnectionStep",
    "DelayStep",
    "ErrorStep",
    "FilterStep",
    "FinishStep",
    "GroupByStep",
    "LogStep",
    "Outcome",
    "SplitStep",
    "StartScenarioStep",
    "Step",
    "SwitchStep",
    "WaitAction",
    "WaitForSignalStep",
    "WhileStep",
]
