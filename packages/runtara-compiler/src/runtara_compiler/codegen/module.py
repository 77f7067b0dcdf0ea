"""From a scenario to the source of a Python module.

The module declares the steps of each graph in the order in which they run, a function that does them one after the
other, and the `workflow`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from runtara_compiler.codegen.expressions import (
    LINE_WIDTH,
    Expression,
    Literal,
    Name,
    Names,
    call,
    is_plain_identifier,
    names_in,
    quote,
    render,
)
from runtara_compiler.codegen.graphs import GraphWriter
from runtara_compiler.codegen.identifiers import Identifiers, snake_case
from runtara_compiler.codegen.step_expressions import schema_expression, variables_expression
from runtara_compiler.language import ExecutionGraph
from runtara_compiler.language.children import ResolvedChildren
from runtara_compiler.language.step_types import STEP_MODELS
from runtara_compiler.targets import AgentPin

_LIBRARY = "runtara_sdk.workflow"
_LIBRARY_NAMES = frozenset(
    {
        *(f"{step_type}Step" for step_type in STEP_MODELS),
        "Case",
        "ChildScenario",
        "Run",
        "WaitAction",
        "Workflow",
        "WrittenDecimal",
        "choose",
        "composite",
        "decode_json",
        "immediate",
        "operation",
        "reference",
        "schema",
        "template",
        "truth",
    }
)
_TAKEN = _LIBRARY_NAMES | {"Any", "graph", "main", "run", "workflow"}


@dataclass(frozen=True, slots=True)
class ModuleIdentity:
    """What a generated module says of itself."""

    scenario_id: str
    version: int
    compiler_version: str
    debug: bool = False
    durable: bool = True
    connection_service_url: str | None = None


@dataclass(frozen=True, slots=True)
class GeneratedModule:
    """A module: its name for import, and its text."""

    name: str
    source: str


def generate_module(
    graph: ExecutionGraph,
    identity: ModuleIdentity,
    agents: Mapping[str, AgentPin],
    children: ResolvedChildren | None = None,
) -> GeneratedModule:
    """Generate the module of a validated graph; the same arguments give the same text.

    Args:
        graph: the graph.
        identity: what the module says of itself.
        agents: agent id, as the steps write it, to the agent; those of children included.
        children: the embedded scenarios.
    """
    identifiers = Identifiers(_TAKEN)
    agent_names = _name_agents(agents, identifiers)
    writer = GraphWriter(identifiers, agent_names, children or ResolvedChildren())
    writer.scenario(graph)
    workflow = _workflow_expression(graph, identity, list(dict.fromkeys(agent_names.values())))
    used = {"Workflow"} | writer.used | names_in(workflow)
    source = _template().render(
        title=_docstring(graph.name or identity.scenario_id),
        origin=_origin(identity),
        imports=_imports(agents, agent_names, used & _LIBRARY_NAMES),
        parts=[{"title": part.title and _docstring(part.title), "part": part} for part in writer.parts],
        workflow=render(workflow, before=len("workflow = ")),
    )
    name = "_".join(part for part in ("workflow", snake_case(identity.scenario_id)) if part)
    return GeneratedModule(name, source)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("runtara_compiler.codegen"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python, not HTML; scenario text arrives as quoted literals
    )
    return environment.get_template("workflow.py.jinja")


def _name_agents(agents: Mapping[str, AgentPin], identifiers: Identifiers) -> dict[str, str]:
    """Agent id as written to identifier; ids that mean the same agent share one."""
    names: dict[tuple[str, str], str] = {}
    for pin in sorted(agents.values(), key=lambda pin: pin.agent_id):
        parts = [*pin.module.split("."), pin.attribute]
        if not all(map(is_plain_identifier, parts)):
            raise ValueError(f"agent {pin.agent_id!r} cannot be imported from {pin.module}:{pin.attribute}")
        if (pin.module, pin.attribute) not in names:
            names[pin.module, pin.attribute] = identifiers.choose(pin.attribute, "agent")
    return {agent_id: names[pin.module, pin.attribute] for agent_id, pin in agents.items()}


def _workflow_expression(graph: ExecutionGraph, identity: ModuleIdentity, agent_names: Sequence[str]) -> Expression:
    fields: dict[str, Expression] = {"id": Literal(identity.scenario_id), "version": Literal(identity.version)}
    if graph.name is not None:
        fields["name"] = Literal(graph.name)
    if graph.variables:
        fields["variables"] = variables_expression(graph)
    if graph.input_schema:
        fields["input_schema"] = schema_expression(graph.input_schema)
    if graph.execution_timeout_seconds is not None:
        fields["timeout_ms"] = Literal(graph.execution_timeout_seconds * 1000)
    if graph.rate_limit_budget_ms is not None:
        fields["rate_limit_budget_ms"] = Literal(graph.rate_limit_budget_ms)
    if not (identity.durable and graph.durable):
        fields["durable"] = Literal(False)
    if identity.connection_service_url is not None:
        fields["connection_service_url"] = Literal(identity.connection_service_url)
    if identity.debug:
        fields["debug"] = Literal(True)
    if agent_names:
        fields["agents"] = Names(tuple(map(Name, agent_names)))
    fields["graph"] = Name("graph")
    fields["compiler_version"] = Literal(identity.compiler_version)
    return call("Workflow", **fields)


def _imports(agents: Mapping[str, AgentPin], agent_names: Mapping[str, str], library: set[str]) -> list[str]:
    found: set[tuple[str, str]] = {(_LIBRARY, _import_clause(_LIBRARY, sorted(library, key=_import_rank)))}
    for agent_id, pin in agents.items():
        name = agent_names[agent_id]
        renamed = pin.attribute if name == pin.attribute else f"{pin.attribute} as {name}"
        found.add((pin.module, f"from {pin.module} import {renamed}"))
    return [line for _, clause in sorted(found) for line in clause.split("\n")]


def _import_rank(name: str) -> tuple[bool, str]:
    return name.islower(), name


def _import_clause(module: str, names: Sequence[str]) -> str:
    flat = f"from {module} import {', '.join(names)}"
    if len(flat) <= LINE_WIDTH:
        return flat
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _origin(identity: ModuleIdentity) -> str:
    scenario = _docstring(identity.scenario_id)
    return (
        f"Scenario {scenario}, version {identity.version}, compiled by runtara-compiler "
        f"{_docstring(identity.compiler_version)}.\nGenerated: change the scenario, not this file."
    )


def _docstring(text: str) -> str:
    """Text that may stand between the quotes of a docstring, on one line, whatever it holds."""
    # `repr` leaves double quotes bare and never puts a lone backslash before one.
    return quote(text)[1:-1].replace('"', '\\"')
