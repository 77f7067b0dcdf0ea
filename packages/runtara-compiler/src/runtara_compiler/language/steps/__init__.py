"""The step types, one module each. Those that hold graphs of their own are put together in `language.graph`."""

from __future__ import annotations

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
from runtara_compiler.language.steps.split import SplitConfig
from runtara_compiler.language.steps.start_scenario import StartScenarioStep
from runtara_compiler.language.steps.switch import SwitchCase, SwitchStep
from runtara_compiler.language.steps.wait_for_signal import WaitAction
from runtara_compiler.language.steps.while_loop import WhileConfig

__all__ = [
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_RETRY_DELAY_MS",
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
    "SplitConfig",
    "StartScenarioStep",
    "SwitchCase",
    "SwitchStep",
    "WaitAction",
    "WhileConfig",
]
