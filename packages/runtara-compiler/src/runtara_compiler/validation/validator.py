"""Validating a scenario: all rules, all findings at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from runtara_compiler.closure import Closure, findings_of_child, resolve_children
from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.scenario import ExecutionGraph, Scenario
from runtara_compiler.validation.agents import AgentCatalog
from runtara_compiler.validation.edges import check_edges
from runtara_compiler.validation.references import ReferenceRules
from runtara_compiler.validation.report import ValidationReport
from runtara_compiler.validation.steps import check_steps
from runtara_compiler.validation.structure import check_entry, check_structure


def validate(
    scenario: Scenario, agents: Mapping[str, Mapping[str, Any]], closure: Closure | None = None
) -> ValidationReport:
    """Judge a loaded scenario and the scenarios that it embeds.

    Args:
        scenario: what `load_scenario` gave; its load warnings become part of the report.
        agents: agent id to its AgentInfo document, as `AgentDefinition.metadata()` gives it.
        closure: the embedded scenarios; without it, every step that starts one is an error.
    """
    closure = closure or resolve_children(scenario, (), root_key=("", 0))
    graph, catalog = scenario.execution_graph, AgentCatalog.from_metadata(agents)
    of_children = (
        findings_of_child(child, _findings(child.graph, catalog)) for child in closure.children.scenarios.values()
    )
    return ValidationReport.of(
        chain(scenario.load_warnings, closure.diagnostics, _findings(graph, catalog), *of_children)
    )


def validate_source(
    source: bytes | str | dict[str, Any], agents: Mapping[str, Mapping[str, Any]], *, origin: str
) -> tuple[Scenario | None, ValidationReport]:
    """Load and validate; a document that cannot be loaded gives no scenario and a report that says why."""
    try:
        scenario = load_scenario(source, origin=origin)
    except ScenarioError as error:
        return None, ValidationReport.of(error.diagnostics)
    return scenario, validate(scenario, agents)


def _findings(graph: ExecutionGraph, agents: AgentCatalog) -> Iterator[Diagnostic]:
    blocking = list(check_entry(graph))
    yield from blocking
    if blocking:
        return
    yield from check_structure(graph)
    yield from check_edges(graph)
    yield from ReferenceRules(graph).check()
    yield from check_steps(graph, agents)
