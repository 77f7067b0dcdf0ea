"""Validating a scenario: all rules, all findings at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from runtara_compiler.closure import ChildSource, Closure, findings_of_child, resolve_children
from runtara_compiler.language.children import ChildKey, ResolvedChildren
from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.language.scenario import Scenario
from runtara_compiler.validation.agents import AgentCatalog
from runtara_compiler.validation.children import check_children
from runtara_compiler.validation.edges import check_edges
from runtara_compiler.validation.findings import inside
from runtara_compiler.validation.references import ReferenceRules
from runtara_compiler.validation.report import ValidationReport
from runtara_compiler.validation.scope import GraphScope, scenario_scope
from runtara_compiler.validation.secrets import check_connections
from runtara_compiler.validation.steps import check_steps
from runtara_compiler.validation.structure import check_entry, check_names, check_structure
from runtara_compiler.validation.templates import check_templates


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
    catalog, children = AgentCatalog.from_metadata(agents), closure.children
    of_children = (
        findings_of_child(child, _scenario_findings(scenario_scope(child.graph, is_child=True), catalog, children))
        for child in children.scenarios.values()
    )
    own = _scenario_findings(scenario_scope(scenario.execution_graph), catalog, children)
    return ValidationReport.of(chain(scenario.load_warnings, closure.diagnostics, own, *of_children))


def validate_source(
    source: bytes | str | dict[str, Any],
    agents: Mapping[str, Mapping[str, Any]],
    *,
    origin: str,
    children: tuple[ChildSource, ...] = (),
    key: ChildKey = ("", 0),
) -> tuple[Scenario | None, ValidationReport]:
    """Load and validate; a document that cannot be loaded gives no scenario and a report that says why."""
    try:
        scenario = load_scenario(source, origin=origin)
    except ScenarioError as error:
        return None, ValidationReport.of(error.diagnostics)
    return scenario, validate(scenario, agents, resolve_children(scenario, children, root_key=key))


def _scenario_findings(scope: GraphScope, agents: AgentCatalog, children: ResolvedChildren) -> Iterator[Diagnostic]:
    yield from _graph_findings(scope, agents, children)
    yield from check_names(scope.graph)


def _graph_findings(scope: GraphScope, agents: AgentCatalog, children: ResolvedChildren) -> Iterator[Diagnostic]:
    blocking = list(check_entry(scope.graph))
    yield from (inside(scope.place, item) for item in blocking)
    if not blocking:
        references = ReferenceRules(scope, agents)
        own = chain(
            check_structure(scope.graph),
            check_edges(scope.graph),
            references.check(),
            check_templates(scope, references),
            check_steps(scope.graph, agents),
            check_connections(scope.graph, agents),
            check_children(scope.graph, children),
        )
        yield from (inside(scope.place, item) for item in own)
    for inner in scope.inner():
        yield from _graph_findings(inner, agents, children)
