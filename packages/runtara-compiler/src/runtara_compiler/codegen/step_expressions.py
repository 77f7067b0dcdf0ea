"""From the models of the language to expressions over the run-time library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtara_compiler.codegen.expressions import Expression, Literal, Name, Table, Texts, call
from runtara_compiler.language import (
    AgentStep,
    ConditionalStep,
    DelayStep,
    FinishStep,
    Immediate,
    InputMapping,
    LogLevel,
    LogStep,
    Operation,
    Reference,
    Step,
    ValueCondition,
)
from runtara_compiler.language.steps import DEFAULT_MAX_RETRIES, DEFAULT_RETRY_DELAY_MS


@dataclass(frozen=True, slots=True)
class Targets:
    """Where the edges of one step lead, by label."""

    then: tuple[str, ...] = ()
    if_true: tuple[str, ...] = ()
    if_false: tuple[str, ...] = ()


def step_expression(step: Step, step_id: str, targets: Targets, agent_names: Mapping[str, str]) -> Expression:
    """The constructor call of a step.

    Args:
        step: the step.
        step_id: its key among the steps of its graph.
        targets: the steps that follow.
        agent_names: agent id as the scenario writes it to the identifier that the module imports.
    """
    fields: dict[str, Expression] = {"id": Literal(step_id)}
    if step.name is not None:
        fields["name"] = Literal(step.name)
    match step:
        case AgentStep():
            fields |= _agent_fields(step, agent_names)
        case ConditionalStep():
            fields["condition"] = value_expression(step.condition)
        case DelayStep():
            fields["duration_ms"] = value_expression(step.duration_ms)
        case FinishStep():
            fields["result"] = mapping_expression(step.input_mapping)
        case LogStep():
            fields |= _log_fields(step)
    for name in ("then", "if_true", "if_false"):
        if followers := getattr(targets, name):
            fields[name] = Texts(followers)
    return call(type(step).__name__, **fields)


def _agent_fields(step: AgentStep, agent_names: Mapping[str, str]) -> dict[str, Expression]:
    fields: dict[str, Expression] = {
        "agent": Name(agent_names[step.agent_id]),
        "agent_id": Literal(step.agent_id),
        "capability_id": Literal(step.capability_id),
    }
    if step.input_mapping:
        fields["inputs"] = mapping_expression(step.input_mapping)
    if step.max_retries != DEFAULT_MAX_RETRIES:
        fields["max_retries"] = Literal(step.max_retries)
    if step.retry_delay_ms != DEFAULT_RETRY_DELAY_MS:
        fields["retry_delay_ms"] = Literal(step.retry_delay_ms)
    return fields


def _log_fields(step: LogStep) -> dict[str, Expression]:
    fields: dict[str, Expression] = {"message": Literal(step.message)}
    if step.level is not LogLevel.INFO:
        fields["level"] = Literal(step.level.value)
    if step.context:
        fields["context"] = mapping_expression(step.context)
    return fields


def mapping_expression(mapping: InputMapping) -> Table:
    """An input mapping."""
    return Table(tuple((name, value_expression(value)) for name, value in mapping.items()))


def value_expression(value: Any) -> Expression:
    """A mapping value or a condition."""
    for model, build in _BUILDERS.items():
        if isinstance(value, model):
            return build(value)
    raise TypeError(f"no code is generated for {type(value).__name__}")


def _reference(value: Reference) -> Expression:
    fields: dict[str, Expression] = {}
    if value.type is not None:
        fields["type"] = Literal(value.type.value)
    if value.default is not None:
        fields["default"] = Literal(value.default)
    return call("reference", Literal(value.value), **fields)


_BUILDERS: dict[type, Callable[[Any], Expression]] = {
    Reference: _reference,
    Immediate: lambda value: call("immediate", Literal(value.value)),
    Operation: lambda value: call(
        "operation", Literal(value.op.value), *(value_expression(argument) for argument in value.arguments)
    ),
    ValueCondition: lambda value: call("truth", value_expression(value.mapping_value)),
}
