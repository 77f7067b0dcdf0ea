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
from runtara_compiler.language.graph import (
    Edge,
    ExecutionGraph,
    SplitStep,
    Step,
    Variable,
    WaitForSignalStep,
    WhileStep,
)
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.mapping import (
    Composite,
    Immediate,
    InputMapping,
    MappingValue,
    Reference,
    Template,
    TypeHint,
)
from runtara_compiler.language.ordering import StepCycleError, StepOrder, order_steps
from runtara_compiler.language.paths import PathSyntaxError, Segment, format_path, parse_path
from runtara_compiler.language.scenario import Scenario
from runtara_compiler.language.schema import SchemaField
from runtara_compiler.language.steps import (
    AgentStep,
    ConditionalStep,
    ConnectionStep,
    DelayStep,
    ErrorStep,
    FilterStep,
    FinishStep,
    GroupByStep,
    LogLevel,
    LogStep,
    StartScenarioStep,
    SwitchStep,
    WaitAction,
)

__all__ = [
    "CODES",
    "AgentStep",
    "Code",
    "Composite",
    "Condition",
    "ConditionArgument",
    "ConditionalStep",
    "ConnectionStep",
    "DelayStep",
    "Diagnostic",
    "Edge",
    "ErrorStep",
    "ExecutionGraph",
    "FilterStep",
    "FinishStep",
    "GroupByStep",
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
    "SplitStep",
    "StartScenarioStep",
    "Step",
    "StepCycleError",
    "StepOrder",
    "SwitchStep",
    "Template",
    "TypeHint",
    "ValueCondition",
    "Variable",
    "WaitAction",
    "WaitForSignalStep",
    "WhileStep",
    "format_path",
    "load_scenario",
    "order_steps",
    "parse_path",
]
