"""Rules of single steps: agents and their inputs, and conditions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtara_compiler.language.conditions import Condition, ConditionArgument, Operation, Operator
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ExecutionGraph, SplitStep, Step, WhileStep
from runtara_compiler.language.json_source import describe, json_type, quoted
from runtara_compiler.language.mapping import Immediate, InputMapping
from runtara_compiler.language.paths import Segment
from runtara_compiler.language.steps import AgentStep, ErrorStep, FinishStep, LogStep, StartScenarioStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.language.walk import conditions_of
from runtara_compiler.validation.agents import AgentCatalog, CapabilityView, InputView
from runtara_compiler.validation.constants import check_constants
from runtara_compiler.validation.constraints import broken_constraint
from runtara_compiler.validation.findings import graph_finding, step_finding

_ARGUMENTS = {
    **dict.fromkeys(Operator, 2),
    Operator.NOT: 1,
    Operator.LENGTH: 1,
    Operator.IS_DEFINED: 1,
    Operator.IS_EMPTY: 1,
    Operator.IS_NOT_EMPTY: 1,
}
_ACCEPTED_TYPES = {
    "string": ("string",),
    "boolean": ("boolean",),
    "integer": ("integer",),
    "number": ("integer", "number"),
    "array": ("array",),
    "object": ("object",),
}
"""Declared type to the JSON types it takes; types not listed take everything."""


def check_steps(graph: ExecutionGraph, agents: AgentCatalog) -> Iterator[Diagnostic]:
    """The findings of all steps, each for itself, and of the conditions on edges."""
    for step in graph.steps.values():
        for field, mapping in _mappings_of(step):
            yield from _check_mapping_names(step.id, field, mapping)
        for use in conditions_of(step):
            yield from _check_arguments(step.id, use.condition, use.place)
        if isinstance(step, AgentStep):
            yield from _check_agent(step, agents)
        yield from check_constants(step)
    for index, edge in enumerate(graph.execution_plan):
        if edge.condition is not None:
            for found in _check_arguments(edge.from_step, edge.condition, ("condition",)):
                yield graph_finding(found.code, found.message, "executionPlan", index, "condition")


def _mappings_of(step: Step) -> Iterator[tuple[str, InputMapping]]:
    """The mappings of a step, whose names may have dots."""
    if isinstance(step, AgentStep | FinishStep | StartScenarioStep):
        yield "inputMapping", step.input_mapping
    elif isinstance(step, LogStep | ErrorStep):
        yield "context", step.context
    elif isinstance(step, SplitStep | WhileStep):
        yield "config.variables", step.config.variables


def _check_mapping_names(step_id: str, field: str, mapping: InputMapping) -> Iterator[Diagnostic]:
    """E117 and E011: a name with dots builds nested objects, so none of its parts may be empty."""
    for name in mapping:
        if not name:
            yield step_finding("E117", step_id, "a name is empty", field)
        elif not all(name.split(".")):
            yield step_finding("E011", step_id, f"the name {quoted(name)} has an empty part between its dots", field)


def _check_agent(step: AgentStep, agents: AgentCatalog) -> Iterator[Diagnostic]:
    agent = agents.find(step.agent_id)
    if agent is None:
        yield step_finding(
            "E020",
            step.id,
            f"unknown agent {quoted(step.agent_id)}{did_you_mean(step.agent_id, agents.ids)} "
            f"(agents: {listing(agents.ids)})",
        )
        return
    capability = agent.capabilities.get(step.capability_id)
    if capability is None:
        suggestion = did_you_mean(step.capability_id, agent.capabilities)
        yield step_finding(
            "E021",
            step.id,
            f"the agent {quoted(agent.id)} has no capability {quoted(step.capability_id)}{suggestion} "
            f"(capabilities: {listing(agent.capability_ids)})",
        )
        return
    yield from _check_inputs(step, capability)


def _check_inputs(step: AgentStep, capability: CapabilityView) -> Iterator[Diagnostic]:
    mapped = {name.split(".", 1)[0] for name in step.input_mapping}
    title = f"{step.agent_id}::{step.capability_id}"
    for field in capability.inputs:
        if field.required and not field.name.startswith("_") and mapped.isdisjoint(field.names):
            text = f"the capability {title} requires the input {quoted(field.name)}, which is not mapped"
            yield step_finding("E022", step.id, text, "inputMapping")
    known = [field.name for field in capability.inputs]
    for name, value in step.input_mapping.items():
        first, _, inner = name.partition(".")
        declared = capability.find_input(first)
        if declared is None:
            # The runtime fills in what starts with an underscore, and the id of the connection.
            if first and not first.startswith("_") and first != "connection_id":
                suggestion = f"{did_you_mean(first, known)} (inputs: {listing(known)})"
                text = f"the capability {title} has no input {quoted(first)}{suggestion}"
                yield step_finding("W020", step.id, text, "inputMapping", name)
        elif isinstance(value, Immediate) and not inner:
            yield from _check_literal(step.id, declared, value.value, ("inputMapping", name))


def _check_literal(step_id: str, declared: InputView, value: Any, place: tuple[Segment, ...]) -> Iterator[Diagnostic]:
    if value is None and declared.nullable:
        return
    accepted = _ACCEPTED_TYPES.get(declared.type)
    found = json_type(value)
    integral = isinstance(value, float) and value.is_integer()
    if accepted is not None and found not in accepted and not (declared.type == "integer" and integral):
        text = f"the input {quoted(declared.name)} is of type {declared.type}, found {describe(value)}"
        yield step_finding("E023", step_id, text, *place)
    elif declared.enum is not None and not any(_same(value, allowed) for allowed in declared.enum):
        allowed = ", ".join(describe(item).partition(" ")[2] or "null" for item in declared.enum[:20])
        text = f"the input {quoted(declared.name)} must be one of {allowed}; found {describe(value)}"
        yield step_finding("E024", step_id, text, *place)
    elif (broken := broken_constraint(value, declared.constraints)) is not None:
        yield step_finding(
            "E023", step_id, f"the input {quoted(declared.name)} {broken}; found {describe(value)}", *place
        )


def _same(left: Any, right: Any) -> bool:
    # In Python True equals 1; in JSON it does not.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _check_arguments(
    step_id: str, condition: Condition | ConditionArgument, place: tuple[Segment, ...]
) -> Iterator[Diagnostic]:
    if not isinstance(condition, Operation):
        return
    count = len(condition.arguments)
    if condition.op in (Operator.AND, Operator.OR):
        if count == 0:
            result = "true" if condition.op is Operator.AND else "false"
            yield step_finding("W025", step_id, f"{condition.op} without arguments is always {result}", *place)
    elif count != _ARGUMENTS[condition.op]:
        expected = _ARGUMENTS[condition.op]
        text = f"{condition.op} takes {expected} argument{'s' if expected > 1 else ''}, found {count}"
        yield step_finding("W025", step_id, text, *place)
    for index, argument in enumerate(condition.arguments):
        yield from _check_arguments(step_id, argument, (*place, "arguments", index))
