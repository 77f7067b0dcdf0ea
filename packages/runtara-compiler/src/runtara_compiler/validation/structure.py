"""Rules of the graph as such: entry point, reachability, cycles, names."""

from __future__ import annotations

from collections.abc import Iterator

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.ordering import find_cycles, reachable_steps
from runtara_compiler.language.scenario import ExecutionGraph
from runtara_compiler.language.steps import FinishStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.findings import graph_finding, names, step_finding


def check_entry(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    """E004 and E001; when one of them is found, nothing else can be judged."""
    if not graph.steps:
        yield graph_finding("E004", "the graph has no steps", "steps")
    elif not graph.entry_point:
        targets = {edge.to_step for edge in graph.execution_plan}
        first = [step_id for step_id in graph.steps if step_id not in targets]
        found = f"{len(first)} steps have none: {names(first)}" if first else "every step has one"
        yield graph_finding(
            "E001",
            f"'entryPoint' is missing; it may be left out only when exactly one step has no incoming edge, but {found}",
            "entryPoint",
        )
    elif graph.entry_point not in graph.steps:
        suggestion = did_you_mean(graph.entry_point, graph.steps)
        yield graph_finding(
            "E001",
            f"'entryPoint' names the step {quoted(graph.entry_point)}, which does not exist{suggestion} "
            f"(steps: {listing(graph.steps)})",
            "entryPoint",
        )


def check_structure(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    """E002, E003, E005, E060 and W003."""
    reachable = reachable_steps(graph)
    for step_id in graph.steps:
        if step_id not in reachable:
            yield step_finding("E002", step_id, f"not reachable from the entry point {quoted(graph.entry_point)}")
    finishes = [step_id for step_id, step in graph.steps.items() if isinstance(step, FinishStep)]
    if finishes and not any(step_id in reachable for step_id in finishes):
        yield graph_finding("E003", f"no Finish step can be reached ({names(finishes)}), so the result is null")
    for cycle in find_cycles(graph):
        yield step_finding("E005", cycle[0], "the steps form a cycle: " + " -> ".join(map(quoted, cycle)))
    yield from _check_names(graph)
    sources = {edge.from_step for edge in graph.execution_plan}
    for step_id, step in graph.steps.items():
        if not isinstance(step, FinishStep) and step_id not in sources:
            yield step_finding("W003", step_id, f"the {step.step_type} step has no outgoing edge")


def _check_names(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    bearers: dict[str, list[str]] = {}
    for step_id, step in graph.steps.items():
        if step.name is not None:
            bearers.setdefault(step.name, []).append(step_id)
    for name, step_ids in bearers.items():
        if len(step_ids) > 1:
            yield graph_finding(
                "E060", f"the name {quoted(name)} is given to several steps: {names(step_ids)}", "steps"
            )
