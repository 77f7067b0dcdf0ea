"""From the steps of the language to constructor calls of the run-time library: a row of the table for each type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtara_compiler.codegen.expressions import Expression, Items, Literal, Name, Table, Texts, call
from runtara_compiler.codegen.value_expressions import (
    edges_expression,
    mapping_expression,
    schema_literal,
    value_expression,
)
from runtara_compiler.language import (
    AgentStep,
    ConditionalStep,
    ConnectionStep,
    DelayStep,
    ErrorStep,
    ExecutionGraph,
    FilterStep,
    FinishStep,
    GroupByStep,
    LogStep,
    SplitStep,
    StartScenarioStep,
    Step,
    SwitchStep,
    WaitAction,
    WaitForSignalStep,
    WhileStep,
)
from runtara_compiler.language.ordering import StepEdges
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.language.walk import graphs_of

Fields = dict[str, Expression]


@dataclass(frozen=True, slots=True)
class StepNames:
    """The identifiers that a step may need.

    Attributes:
        agents: agent id as the scenario writes it to the identifier that the module imports.
        bodies: field of the step to the function of the graph in it.
        child: identifier of the child, for a StartScenario step.
    """

    agents: Mapping[str, str]
    bodies: Mapping[str, str]
    child: str | None = None


def step_expression(step: Step, edges: StepEdges, names: StepNames, *, durable: bool = True) -> Expression:
    """The constructor call of a step; `durable` says whether the graph that it is in keeps records."""
    fields: Fields = {"id": Literal(step.id)}
    if step.name is not None:
        fields["name"] = Literal(step.name)
    fields |= _FIELDS[type(step)](step, names)
    for use in graphs_of(step):
        fields |= _body_fields(use.field, use.graph, names.bodies[use.field])
    if not (step.durable and durable):
        fields["durable"] = Literal(False)
    if step.breakpoint:
        fields["breakpoint"] = Literal(True)
    if edges.then:
        fields["then"] = edges_expression(edges.then)
    if edges.outcomes:
        fields |= _outcome_fields(step, edges.outcomes)
    if edges.on_error:
        fields["on_error"] = edges_expression(edges.on_error, only_first=True)
    return call(f"{step.step_type}Step", **fields)


def _body_fields(field: str, graph: ExecutionGraph, function: str) -> Fields:
    name, variables = ("on_wait", "on_wait_variables") if field == "onWait" else ("body", "body_variables")
    fields: Fields = {name: Name(function)}
    if graph.variables:
        fields[variables] = variables_expression(graph)
    return fields


def variables_expression(graph: ExecutionGraph) -> Table:
    """The defaults of the variables of a graph."""
    return Table(tuple((name, Literal(variable.value)) for name, variable in graph.variables.items()))


def _outcome_fields(step: Step, outcomes: Mapping[str, Any]) -> Fields:
    leading = {label: edges_expression(edges) for label, edges in outcomes.items() if edges}
    if isinstance(step, ConditionalStep):
        return {f"if_{label}": edges for label, edges in leading.items()}
    return {"routes": Table(tuple(leading.items()))} if leading else {}


def _given(step: BaseStep | Any, **fields: tuple[str, Callable[[Any], Expression]]) -> Fields:
    """Fields of the library by name, given as (field of the model, how it is written); defaults stay out."""
    written: Fields = {}
    for name, (attribute, write) in fields.items():
        value = getattr(step, attribute)
        if value != type(step).model_fields[attribute].get_default(call_default_factory=True):
            written[name] = write(value)
    return written


def _agent(step: AgentStep, names: StepNames) -> Fields:
    return {
        "agent": Name(names.agents[step.agent_id]),
        "agent_id": Literal(step.agent_id),
        "capability_id": Literal(step.capability_id),
        **_given(
            step,
            connection_id=("connection_id", Literal),
            connection_ref=("connection_ref", value_expression),
            inputs=("input_mapping", mapping_expression),
            max_retries=("max_retries", Literal),
            retry_delay_ms=("retry_delay_ms", Literal),
            timeout_ms=("timeout_ms", Literal),
        ),
    }


def _conditional(step: ConditionalStep, _: StepNames) -> Fields:
    return {"condition": value_expression(step.condition)}


def _connection(step: ConnectionStep, _: StepNames) -> Fields:
    return {"connection_id": Literal(step.connection_id), "integration_id": Literal(step.integration_id)}


def _delay(step: DelayStep, _: StepNames) -> Fields:
    return {"duration_ms": value_expression(step.duration_ms)}


def _error(step: ErrorStep, _: StepNames) -> Fields:
    return {
        "error_code": Literal(step.code),
        "message": Literal(step.message),
        **_given(
            step,
            category=("category", _enumerated),
            severity=("severity", _enumerated),
            context=("context", mapping_expression),
        ),
    }


def _filter(step: FilterStep, _: StepNames) -> Fields:
    return {"value": value_expression(step.config.value), "condition": value_expression(step.config.condition)}


def _finish(step: FinishStep, _: StepNames) -> Fields:
    return {"result": mapping_expression(step.input_mapping)}


def _group_by(step: GroupByStep, _: StepNames) -> Fields:
    expected = _given(step.config, expected_keys=("expected_keys", Texts))
    return {"value": value_expression(step.config.value), "key": Literal(step.config.key), **expected}


def _log(step: LogStep, _: StepNames) -> Fields:
    given = _given(step, level=("level", _enumerated), context=("context", mapping_expression))
    return {"message": Literal(step.message), **given}


def _split(step: SplitStep, _: StepNames) -> Fields:
    config = step.config
    return {
        "value": value_expression(config.value),
        **({"parallelism": Literal(config.parallelism)} if config.is_parallel else {}),
        **_given(
            config,
            continue_on_failure=("dont_stop_on_failed", Literal),
            allow_null=("allow_null", Literal),
            convert_single_value=("convert_single_value", Literal),
            batch_size=("batch_size", Literal),
            variables=("variables", mapping_expression),
            max_retries=("max_retries", Literal),
            retry_delay_ms=("retry_delay_ms", Literal),
            timeout_ms=("timeout_ms", Literal),
        ),
        **_given(
            step, item_schema=("input_schema", schema_expression), result_schema=("output_schema", schema_expression)
        ),
    }


def _start_scenario(step: StartScenarioStep, names: StepNames) -> Fields:
    if names.child is None:
        raise ValueError(f"step {step.id!r}: its child was not resolved")
    return {
        "child": Name(names.child),
        **_given(
            step,
            inputs=("input_mapping", mapping_expression),
            max_retries=("max_retries", Literal),
            retry_delay_ms=("retry_delay_ms", Literal),
            timeout_ms=("timeout_ms", Literal),
        ),
    }


def _switch(step: SwitchStep, _: StepNames) -> Fields:
    cases = []
    for case in step.config.cases:
        route: Fields = {} if case.route is None else {"route": Literal(case.route)}
        fields: Fields = {"match_type": Literal(case.match_type.value), "match": value_expression(case.match)}
        cases.append(call("Case", **fields, output=value_expression(case.output), **route))
    fields = {"value": value_expression(step.config.value), "cases": Items(tuple(cases))}
    if step.config.default is not None:
        fields["default"] = value_expression(step.config.default)
    if step.is_routing:
        fields["is_routing"] = Literal(True)
    return fields


def _wait_for_signal(step: WaitForSignalStep, _: StepNames) -> Fields:
    return _given(
        step,
        timeout_ms=("timeout_ms", value_expression),
        poll_interval_ms=("poll_interval_ms", Literal),
        response_fields=("response_schema", schema_literal),
        action=("action", _action),
    )


def _action(action: WaitAction) -> Expression:
    given = _given(
        action,
        key=("key", Literal),
        correlation=("correlation", mapping_expression),
        context=("context", mapping_expression),
    )
    return call("WaitAction", **given)


def _while(step: WhileStep, _: StepNames) -> Fields:
    return {
        "condition": value_expression(step.condition),
        **_given(
            step.config,
            max_iterations=("max_iterations", Literal),
            timeout_ms=("timeout_ms", Literal),
            variables=("variables", mapping_expression),
        ),
    }


def schema_expression(fields: Any) -> Expression:
    """A schema as an object of the library."""
    return call("schema", schema_literal(fields))


def _enumerated(value: Any) -> Expression:
    return Literal(value.value)


_FIELDS: dict[type[BaseStep], Callable[[Any, StepNames], Fields]] = {
    AgentStep: _agent,
    ConditionalStep: _conditional,
    ConnectionStep: _connection,
    DelayStep: _delay,
    ErrorStep: _error,
    FilterStep: _filter,
    FinishStep: _finish,
    GroupByStep: _group_by,
    LogStep: _log,
    SplitStep: _split,
    StartScenarioStep: _start_scenario,
    SwitchStep: _switch,
    WaitForSignalStep: _wait_for_signal,
    WhileStep: _while,
}
