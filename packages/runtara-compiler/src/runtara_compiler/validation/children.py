"""Rules of the steps that start a child: its version, and what it is given."""

from __future__ import annotations

from collections.abc import Iterator

from runtara_sdk.workflow.value_schema import Schema

from runtara_compiler.closure import is_child_version
from runtara_compiler.language.children import ResolvedChildren
from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ExecutionGraph
from runtara_compiler.language.json_source import describe, quoted
from runtara_compiler.language.mapping import Immediate
from runtara_compiler.language.schema import SchemaField
from runtara_compiler.language.steps import StartScenarioStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.findings import step_finding


def check_children(graph: ExecutionGraph, children: ResolvedChildren) -> Iterator[Diagnostic]:
    """E023, E050, E054, E055 and W020."""
    for step in graph.steps.values():
        if not isinstance(step, StartScenarioStep):
            continue
        if not is_child_version(step.child_version):
            text = f"is 'latest', 'current' or a number from 1 on, found {describe(step.child_version)}"
            yield step_finding(
                "E050", step.id, f"the version of {quoted(step.child_scenario_id)} {text}", "childVersion"
            )
        elif (child := children.find(step)) is not None:
            yield from _check_inputs(step, child.graph.input_schema)


def _check_inputs(step: StartScenarioStep, schema: dict[str, SchemaField]) -> Iterator[Diagnostic]:
    child = quoted(step.child_scenario_id)
    if not schema:
        if step.input_mapping:
            text = f"maps inputs to the child {child}, which declares none; give it an 'inputSchema'"
            yield step_finding("E054", step.id, text, "inputMapping")
        return
    mapped = {name.split(".", 1)[0] for name in step.input_mapping}
    for name, field in schema.items():
        if field.required and name not in mapped and "default" not in field.model_fields_set:
            described = field.type if field.description is None else f"{field.type}: {field.description}"
            text = f"the child {child} requires the input {quoted(name)} ({described}), which is not mapped"
            yield step_finding("E055", step.id, text, "inputMapping")
    for name, value in step.input_mapping.items():
        first, _, inner = name.partition(".")
        if first not in schema:
            suggestion = f"{did_you_mean(first, schema)} (inputs: {listing(schema)})"
            text = f"the child {child} has no input {quoted(first)}{suggestion}"
            yield step_finding("W020", step.id, text, "inputMapping", name)
        elif isinstance(value, Immediate) and not inner:
            yield from _check_literal(step, name, value, schema[first])


def _check_literal(step: StartScenarioStep, name: str, value: Immediate, field: SchemaField) -> Iterator[Diagnostic]:
    document = field.model_dump(by_alias=True, exclude_unset=True)
    for violation in Schema.from_json({name: document}).violations({name: value.value}):
        yield step_finding("E023", step.id, f"{violation.path} {violation.message}", "inputMapping", name)
