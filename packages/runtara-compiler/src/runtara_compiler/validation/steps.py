"""Rules of single steps: agents and their inputs, conditions, delays, limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtara_compiler.language.conditions import Condition, ConditionArgument, Operation, Operator
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.json_source import describe, json_type, quoted
from runtara_compiler.language.mapping import Immediate, InputMapping
from runtara_compiler.language.paths import Segment
from runtara_compiler.language.scenario import ExecutionGraph
from runtara_compiler.language.steps import AgentStep, ConditionalStep, DelayStep, FinishStep, LogStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.agents import AgentCatalog, CapabilityView, InputView
from runtara_compiler.validation.findings import duration, graph_finding, step_finding

MANY_RETRIES = 50
LONG_MS = 3_600_000

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
    """The findings of all steps, each for itself, and of the graph's own limits."""
    for step in graph.steps.values():
        if isinstance(step, AgentStep):
            yield from _check_mapping_names(step.id, "inputMapping", step.input_mapping)
            yield from _check_agent(step, agents)
            yield from _check_limits(step)
        elif isinstance(step, FinishStep):
            yield from _check_mapping_names(step.id, "inputMapping", step.input_mapping)
        elif isinstance(step, LogStep):
            yield from _check_mapping_names(step.id, "context", step.context)
        elif isinstance(step, ConditionalStep):
            yield from _check_arguments(step.id, step.condition, ("condition",))
        elif isinstance(step, DelayStep):
            yield from _check_delay(step)
    for field, value in (
        ("executionTimeoutSeconds", graph.execution_timeout_seconds),
        ("rateLimitBudgetMs", graph.rate_limit_budget_ms),
    ):
        if value is not None:
            yield graph_finding("W071", f"{field!r} is not enforced by this version", field)


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


def _same(left: Any, right: Any) -> bool:
    # In Python True equals 1; in JSON it does not.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _check_limits(step: AgentStep) -> Iterator[Diagnostic]:
    if step.max_retries > MANY_RETRIES:
        text = f"{step.max_retries} retries; more than {MANY_RETRIES} are seldom meant"
        yield step_finding("W030", step.id, text, "maxRetries")
    if step.retry_delay_ms > LONG_MS:
        text = f"{duration(step.retry_delay_ms)} between attempts is more than {duration(LONG_MS)}"
        yield step_finding("W031", step.id, text, "retryDelay")
    if step.timeout_ms is not None:
        if step.timeout_ms > LONG_MS:
            text = f"{duration(step.timeout_ms)} is more than {duration(LONG_MS)}"
            yield step_finding("W034", step.id, text, "timeout")
        yield step_finding("W071", step.id, "not enforced by this version", "timeout")
    if step.compensation is not None:
        yield step_finding("W061", step.id, "accepted, but nothing executes it", "compensation")


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


def _check_delay(step: DelayStep) -> Iterator[Diagnostic]:
    value = step.duration_ms
    if isinstance(value, Immediate) and json_type(value.value) not in ("integer", "number"):
        text = f"must be a number of milliseconds, found {describe(value.value)}"
        yield step_finding("E023", step.id, text, "durationMs")
