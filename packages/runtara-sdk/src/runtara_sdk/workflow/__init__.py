"""What generated workflow modules are made of.

A module declares its steps, a `graph` that does them in order, and one `Workflow`. `Run` holds the state of one graph
run; `runtara_sdk.workflow.program` is the main function of an artifact. Written for generated code, yet readable and
stable enough to write by hand in tests.
"""

from runtara_sdk.workflow.children import ChildScenario
from runtara_sdk.workflow.conditions import operation, truth
from runtara_sdk.workflow.edges import choose
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.mapping import composite, immediate, reference
from runtara_sdk.workflow.run import Run
from runtara_sdk.workflow.schema import schema
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps import (
    AgentStep,
    Case,
    ConditionalStep,
    ConnectionStep,
    DelayStep,
    ErrorStep,
    FilterStep,
    FinishStep,
    GroupByStep,
    LogStep,
    Outcome,
    SplitStep,
    StartScenarioStep,
    Step,
    SwitchStep,
    WaitAction,
    WaitForSignalStep,
    WhileStep,
)
from runtara_sdk.workflow.templates import template
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
