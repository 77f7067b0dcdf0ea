"""From an execution graph to the source of a Python module.

The module declares the steps in the order in which they run, a `graph` that does them one after the other, and the
`workflow`. A step that not every run reaches is guarded by `run.reached(...)`; a Finish step returns.
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
    Table,
    call,
    is_plain_identifier,
    names_in,
    quote,
    render,
)
from runtara_compiler.codegen.identifiers import Identifiers, snake_case
from runtara_compiler.codegen.step_expressions import Targets, step_expression
from runtara_compiler.language import ExecutionGraph, FinishStep
from runtara_compiler.language.ordering import StepOrder, active_edges, order_steps
from runtara_compiler.targets import AgentPin

_LIBRARY = "runtara_sdk.workflow"
_LIBRARY_NAMES = frozenset(
    {
        "AgentStep",
        "ConditionalStep",
        "DelayStep",
        "FinishStep",
        "LogStep",
        "Run",
        "Workflow",
        "decode_json",
        "immediate",
        "operation",
        "reference",
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


@dataclass(frozen=True, slots=True)
class GeneratedModule:
    """A module: its name for import, and its text."""

    name: str
    source: str


def generate_module(graph: ExecutionGraph, identity: ModuleIdentity, agents: Mapping[str, AgentPin]) -> GeneratedModule:
    """Generate the module of a validated graph; the same arguments give the same text.

    Args:
        graph: the graph.
        identity: what the module says of itself.
        agents: agent id, as the steps write it, to the agent.
    """
    order = order_steps(graph)
    identifiers = Identifiers(_TAKEN)
    agent_names = _name_agents(agents, identifiers)
    step_names = {step_id: identifiers.choose(step_id, "step") for step_id in order.steps}
    targets = _targets(graph, order)
    declarations = {
        step_id: step_expression(graph.steps[step_id], step_id, targets[step_id], agent_names)
        for step_id in order.steps
    }
    workflow = _workflow_expression(graph, identity, [step_names[step_id] for step_id in order.steps])
    used = {"Run", "Workflow"}.union(*map(names_in, declarations.values()), names_in(workflow))
    source = _template().render(
        title=_docstring(graph.name or identity.scenario_id),
        origin=_origin(identity),
        imports=_imports(agents, agent_names, used & _LIBRARY_NAMES),
        steps=[
            {
                "identifier": step_names[step_id],
                "expression": render(expression, before=len(step_names[step_id]) + 3),
            }
            for step_id, expression in declarations.items()
        ],
        body=_body(graph, order, step_names),
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


def _targets(graph: ExecutionGraph, order: StepOrder) -> dict[str, Targets]:
    followers: dict[str, dict[bool | None, list[str]]] = {
        step_id: {None: [], True: [], False: []} for step_id in order.steps
    }
    for edge in active_edges(graph):
        if edge.from_step in followers:
            followers[edge.from_step][edge.branch].append(edge.to_step)
    return {
        step_id: Targets(tuple(found[None]), tuple(found[True]), tuple(found[False]))
        for step_id, found in followers.items()
    }


def _workflow_expression(graph: ExecutionGraph, identity: ModuleIdentity, step_names: Sequence[str]) -> Expression:
    fields: dict[str, Expression] = {"id": Literal(identity.scenario_id), "version": Literal(identity.version)}
    if graph.name is not None:
        fields["name"] = Literal(graph.name)
    if graph.variables:
        defaults = ((name, Literal(variable.value)) for name, variable in graph.variables.items())
        fields["variables"] = Table(tuple(defaults))
    if identity.debug:
        fields["debug"] = Literal(True)
    fields["steps"] = Names(tuple(map(Name, step_names)))
    fields["graph"] = Name("graph")
    fields["compiler_version"] = Literal(identity.compiler_version)
    return call("Workflow", **fields)


def _body(graph: ExecutionGraph, order: StepOrder, step_names: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for step_id in order.steps:
        name = step_names[step_id]
        is_finish = isinstance(graph.steps[step_id], FinishStep)
        statement = f"return await run.finish({name})" if is_finish else f"await run.do({name})"
        if step_id not in order.always:
            lines += [f"if run.reached({name}):", f"    {statement}"]
            continue
        lines.append(statement)
        if is_finish:
            return lines  # whatever follows is never reached
    return [*lines, "return None"]


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
