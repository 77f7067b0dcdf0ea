"""From a graph to the parts of a module: the declarations of its steps, and the function that does them in order.

A step that not every run reaches is guarded by `run.reached(...)`; a Finish step returns. The graphs inside a step
come before the step, each as a part of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtara_compiler.codegen.expressions import Expression, Literal, Name, call, names_in, render
from runtara_compiler.codegen.identifiers import Identifiers
from runtara_compiler.codegen.step_expressions import (
    StepNames,
    schema_expression,
    step_expression,
    variables_expression,
)
from runtara_compiler.language import ExecutionGraph, FinishStep, StartScenarioStep
from runtara_compiler.language.children import ResolvedChild, ResolvedChildren
from runtara_compiler.language.ordering import StepOrder, edges_by_step, order_steps
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.language.walk import graphs_of


@dataclass(frozen=True, slots=True)
class Declaration:
    """One name of the module and the text of its value."""

    identifier: str
    expression: str


@dataclass(frozen=True, slots=True)
class GraphPart:
    """A graph in the module.

    Attributes:
        title: what the graph is, for a comment; None for the scenario's own.
        steps: its steps, in execution order.
        function: name of the function that does them.
        body: lines of that function.
        after: declarations that need the function.
    """

    title: str | None
    steps: tuple[Declaration, ...]
    function: str
    body: tuple[str, ...]
    after: tuple[Declaration, ...] = ()


@dataclass(slots=True)
class GraphWriter:
    """Writes the parts of one module, inner graphs and children first.

    Attributes:
        identifiers: gives out the names of the module.
        agents: agent id as the scenario writes it to the identifier that the module imports.
        children: the embedded scenarios.
        parts: what is written so far.
        used: names of the run-time library that are used.
    """

    identifiers: Identifiers
    agents: Mapping[str, str]
    children: ResolvedChildren
    parts: list[GraphPart] = field(default_factory=list)
    used: set[str] = field(default_factory=lambda: {"Run"})
    _child_names: dict[tuple[str, int], str] = field(default_factory=dict)

    def scenario(self, graph: ExecutionGraph) -> None:
        """Write the graph of the scenario itself."""
        # Of a graph that is not durable the workflow says so, for all that runs in it.
        self._write(graph, function="graph", title=None, durable=True)

    def _write(
        self,
        graph: ExecutionGraph,
        *,
        function: str,
        title: str | None,
        durable: bool,
        after: tuple[tuple[str, Expression], ...] = (),
    ) -> None:
        order = order_steps(graph)
        edges = edges_by_step(graph)
        step_names = {step_id: self.identifiers.choose(step_id, "step") for step_id in order.steps}
        declarations = []
        for step_id in order.steps:
            step = graph.steps[step_id]
            bodies = self._bodies(step, step_names[step_id], durable=durable)
            names = StepNames(self.agents, bodies, self._child(step))
            expression = step_expression(step, edges[step_id], names, durable=durable)
            declarations.append(self._declaration(step_names[step_id], expression))
        body = _body(graph, order, step_names, has_handlers=any(edges[step_id].on_error for step_id in order.steps))
        written = tuple(self._declaration(name, expression) for name, expression in after)
        self.parts.append(GraphPart(title, tuple(declarations), function, tuple(body), written))

    def _declaration(self, identifier: str, expression: Expression) -> Declaration:
        self.used |= names_in(expression)
        return Declaration(identifier, render(expression, before=len(identifier) + 3))

    def _bodies(self, step: BaseStep, name: str, *, durable: bool) -> dict[str, str]:
        bodies: dict[str, str] = {}
        for use in graphs_of(step):
            kind, title = ("on_wait", "The onWait graph") if use.field == "onWait" else ("body", "The body")
            function = self.identifiers.choose(f"{name}_{kind}", "graph")
            title = f"{title} of the step {step.id!r}"
            self._write(use.graph, function=function, title=title, durable=durable and use.graph.durable)
            bodies[use.field] = function
        return bodies

    def _child(self, step: BaseStep) -> str | None:
        if not isinstance(step, StartScenarioStep):
            return None
        child = self.children.required(step)
        if child.key not in self._child_names:
            name = self.identifiers.choose(f"{child.id}_v{child.version}", "child")
            self._child_names[child.key] = name
            function = self.identifiers.choose(f"{name}_graph", "graph")
            self._write(
                child.graph,
                function=function,
                title=f"The child scenario {child.id!r}, version {child.version}",
                durable=child.graph.durable,
                after=((name, _child_expression(child, function)),),
            )
        return self._child_names[child.key]


def _child_expression(child: ResolvedChild, function: str) -> Expression:
    fields: dict[str, Expression] = {
        "id": Literal(child.id),
        "version": Literal(child.version),
        "graph": Name(function),
    }
    if child.graph.variables:
        fields["variables"] = variables_expression(child.graph)
    if child.graph.input_schema:
        fields["input_schema"] = schema_expression(child.graph.input_schema)
    return call("ChildScenario", **fields)


def _body(graph: ExecutionGraph, order: StepOrder, names: Mapping[str, str], *, has_handlers: bool) -> list[str]:
    lines: list[str] = []
    for step_id in order.steps:
        name = names[step_id]
        is_finish = isinstance(graph.steps[step_id], FinishStep)
        statement = f"return await run.finish({name})" if is_finish else f"await run.do({name})"
        if step_id not in order.always:
            lines += [f"if run.reached({name}):", f"    {statement}"]
            continue
        lines.append(statement)
        if is_finish:
            return lines  # whatever follows is never reached
    return [*lines, "return run.end()" if has_handlers else "return None"]
