"""What generated workflow modules are made of.

A module declares its steps, a `graph` that does them in order, and one `Workflow`. `Run` holds the state of one graph
run; `runtara_sdk.workflow.program` is the main function of an artifact. Written for generated code, yet readable and
stable enough to write by hand in tests.
"""

from runtara_sdk.workflow.conditions import operation, truth
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.mapping import composite, immediate, reference
from runtara_sdk.workflow.run import Run
from runtara_sdk.workflow.scope import Scope
from runtara_sdk.workflow.steps import (
    AgentStep,
    ConditionalStep,
    DelayStep,
    FinishStep,
    LogStep,
    Outcome,
    Step,
)
from runtara_sdk.workflow.workflow import Workflow

__all__ = [
    "AgentStep",
    "ConditionalStep",
    "DelayStep",
    "FinishStep",
    "LogStep",
    "Outcome",
    "Run",
    "Scope",
    "Step",
    "StepFailedError",
    "Workflow",
    "composite",
    "decode_json",
    "immediate",
    "operation",
    "reference",
    "truth",
]
