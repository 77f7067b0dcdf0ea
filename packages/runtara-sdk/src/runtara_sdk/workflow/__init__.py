"""What generated workflow modules are made of.

A module declares its steps, a `graph` that does them in order, and one `Workflow`. `Run` holds the state of one graph
run; `runtara_sdk.workflow.program` is the main function of an artifact. Written for generated code, yet readable and
stable enough to write by hand in tests.

Names are looked up when they are asked for: a program loads the types of steps that its scenario has.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtara_sdk.workflow.children import ChildScenario
    from runtara_sdk.workflow.conditions import operation, truth
    from runtara_sdk.workflow.edges import choose
    from runtara_sdk.workflow.failures import StepFailedError
    from runtara_sdk.workflow.json_text import decode_json
    from runtara_sdk.workflow.mapping import composite, immediate, reference
    from runtara_sdk.workflow.run import Run
    from runtara_sdk.workflow.scope import Scope
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
    from runtara_sdk.workflow.templates import template
    from runtara_sdk.workflow.value_schema import schema
    from runtara_sdk.workflow.workflow import Workflow
    from runtara_sdk.written_decimal import WrittenDecimal

__all__ = [
    "AgentStep",
    "Case",
    "ChildScenario",
    "ConditionalStep",
    "ConnectionStep",
    "DelayStep",
    "ErrorStep",
    "FilterStep",
    "FinishStep",
    "GroupByStep",
    "LogStep",
    "Outcome",
    "Run",
    "Scope",
    "SplitStep",
    "StartScenarioStep",
    "Step",
    "StepFailedError",
    "SwitchStep",
    "WaitAction",
    "WaitForSignalStep",
    "WhileStep",
    "Workflow",
    "WrittenDecimal",
    "choose",
    "composite",
    "decode_json",
    "immediate",
    "operation",
    "reference",
    "schema",
    "template",
    "truth",
]

_HOMES = {
    "AgentStep": "runtara_sdk.workflow.steps.agent",
    "Case": "runtara_sdk.workflow.steps.switch",
    "ChildScenario": "runtara_sdk.workflow.children",
    "ConditionalStep": "runtara_sdk.workflow.steps.conditional",
    "ConnectionStep": "runtara_sdk.workflow.steps.connection",
    "DelayStep": "runtara_sdk.workflow.steps.delay",
    "ErrorStep": "runtara_sdk.workflow.steps.error",
    "FilterStep": "runtara_sdk.workflow.steps.filter",
    "FinishStep": "runtara_sdk.workflow.steps.finish",
    "GroupByStep": "runtara_sdk.workflow.steps.group_by",
    "LogStep": "runtara_sdk.workflow.steps.log",
    "Outcome": "runtara_sdk.workflow.steps.base",
    "Run": "runtara_sdk.workflow.run",
    "Scope": "runtara_sdk.workflow.scope",
    "SplitStep": "runtara_sdk.workflow.steps.split",
    "StartScenarioStep": "runtara_sdk.workflow.steps.start_scenario",
    "Step": "runtara_sdk.workflow.steps.base",
    "StepFailedError": "runtara_sdk.workflow.failures",
    "SwitchStep": "runtara_sdk.workflow.steps.switch",
    "WaitAction": "runtara_sdk.workflow.steps.wait_for_signal",
    "WaitForSignalStep": "runtara_sdk.workflow.steps.wait_for_signal",
    "WhileStep": "runtara_sdk.workflow.steps.while_loop",
    "Workflow": "runtara_sdk.workflow.workflow",
    "WrittenDecimal": "runtara_sdk.written_decimal",
    "choose": "runtara_sdk.workflow.edges",
    "composite": "runtara_sdk.workflow.mapping",
    "decode_json": "runtara_sdk.workflow.json_text",
    "immediate": "runtara_sdk.workflow.mapping",
    "operation": "runtara_sdk.workflow.conditions",
    "reference": "runtara_sdk.workflow.mapping",
    "schema": "runtara_sdk.workflow.value_schema",
    "template": "runtara_sdk.workflow.templates",
    "truth": "runtara_sdk.workflow.conditions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
