"""The scenario language: its models, its paths and the loader."""

from runtara_compiler.language.codes import CODES, Code, Severity
from runtara_compiler.language.conditions import (
    Condition,
    ConditionArgument,
    Operation,
    Operator,
    ValueCondition,
)
from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.mapping import Immediate, InputMapping, MappingValue, Reference, TypeHint
from runtara_compiler.language.ordering import StepCycleError, StepOrder, order_steps
from runtara_compiler.language.paths import PathSyntaxError, Segment, format_path, parse_path
from runtara_compiler.language.scenario import (
    Edge,
    ExecutionGraph,
    Scenario,
    SchemaField,
    Variable,
)
from runtara_compiler.language.steps import (
    AgentStep,
    ConditionalStep,
    DelayStep,
    FinishStep,
    LogLevel,
    LogStep,
    Step,
)

__all__ = [
    "CODES",
    "AgentStep",
    "Code",
    "Condition",
    "ConditionArgument",
    "ConditionalStep",
    "DelayStep",
    "Diagnostic",
    "Edge",
    "ExecutionGraph",
    "FinishStep",
    "Immediate",
    "InputMapping",
    "LogLevel",
    "LogStep",
    "MappingValue",
    "Operation",
    "Operator",
    "PathSyntaxError",
    "Reference",
    "Scenario",
    "ScenarioError",
    "SchemaField",
    "Segment",
    "Severity",
    "Step",
    "StepCycleError",
    "StepOrder",
    "TypeHint",
    "ValueCondition",
    "Variable",
    "format_path",
    "load_scenario",
    "order_steps",
    "parse_path",
]
