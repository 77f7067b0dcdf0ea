"""What the references of one graph may read: a graph sees the loops around it, but no records of the graphs there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtara_compiler.language.graph import ExecutionGraph, SplitStep, WaitForSignalStep, WhileStep
from runtara_compiler.language.ordering import edges_by_step
from runtara_compiler.language.paths import Segment
from runtara_compiler.language.schema import SchemaMap
from runtara_compiler.language.steps import BaseStep
from runtara_compiler.language.walk import graphs_of

ROOTS = frozenset({"data", "variables", "steps", "scenario", "workflow"})
ERROR_ROOTS = frozenset({"error", "__error"})
LOOP_ROOTS = {
    "loop": "the condition and the body of a While step",
    "item": "the condition of a Filter step and the body of a Split",
    "iteration": "the body of a Split or While",
}

BUILT_IN_VARIABLES = frozenset({"_scenario_id", "_workflow_id", "_instance_id", "_tenant_id"})
PASS_VARIABLES = frozenset({"_index", "_loop_indices", "_scope_id", "_parent_scope_id"})
CHILD_VARIABLES = frozenset({"_scope_id", "_parent_scope_id", "_cache_key_prefix"})
BODY_VARIABLES = PASS_VARIABLES | CHILD_VARIABLES | {"_previousOutputs", "_item", "_loop", "_signal_id"}


@dataclass(frozen=True, slots=True)
class GraphScope:
    """One graph and what exists around it.

    Attributes:
        graph: the graph.
        place: where it stands in its scenario; empty for the scenario's own graph.
        roots: the names with which a path may start.
        variables: the names below `variables`.
        data_schema: what is known of `data`; empty when nothing is.
        expects_schema: whether `data` could have a schema, so that its absence is worth a warning.
    """

    graph: ExecutionGraph
    place: tuple[Segment, ...]
    roots: frozenset[str]
    variables: frozenset[str]
    data_schema: SchemaMap
    expects_schema: bool = True

    def inner(self) -> Iterator[GraphScope]:
        """The graphs inside the steps of this one, without those inside them."""
        for step_id, step in self.graph.steps.items():
            for use in graphs_of(step):
                yield self._inside(step, use.graph, (*self.place, "steps", step_id, use.field))

    def handler_steps(self) -> frozenset[str]:
        """The steps that a run may reach after a failure; these may read the error."""
        leaving = edges_by_step(self.graph)
        waiting = [edge.to_step for edges in leaving.values() for edge in edges.on_error]
        found: set[str] = set()
        while waiting:
            step_id = waiting.pop()
            if step_id not in found:
                found.add(step_id)
                waiting += [edge.to_step for edge in leaving[step_id].all]
        return frozenset(found)

    def _inside(self, step: BaseStep, graph: ExecutionGraph, place: tuple[Segment, ...]) -> GraphScope:
        roots, variables = self.roots, self.variables | frozenset(graph.variables)
        schema, expects_schema = self.data_schema, self.expects_schema
        if isinstance(step, SplitStep):
            roots |= {"item", "iteration"}
            variables |= PASS_VARIABLES | {"_item", *step.config.variables}
            variables -= {"_previousOutputs"}
            schema, expects_schema = step.input_schema or graph.input_schema, False
            if step.config.batch_size:
                schema = {}  # the data is an array of what the schema describes
        elif isinstance(step, WhileStep):
            roots |= {"loop", "iteration"}
            variables |= PASS_VARIABLES | {"_loop", "_previousOutputs", *step.config.variables}
        elif isinstance(step, WaitForSignalStep):
            variables |= {"_scope_id", "_parent_scope_id", "_signal_id"}
        return GraphScope(graph, place, roots, variables, schema, expects_schema)


def scenario_scope(graph: ExecutionGraph, *, is_child: bool = False) -> GraphScope:
    """The scope of the graph of a scenario."""
    own = BUILT_IN_VARIABLES | frozenset(graph.variables) | (CHILD_VARIABLES if is_child else frozenset())
    return GraphScope(graph, (), ROOTS, own, graph.input_schema)


def all_scopes(scope: GraphScope) -> Iterator[GraphScope]:
    """A graph and all graphs inside it, outer ones first."""
    yield scope
    for inner in scope.inner():
        yield from all_scopes(inner)
