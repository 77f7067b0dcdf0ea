"""Rules of the graph as such: entry point, reachability, cycles, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ExecutionGraph, WaitForSignalStep
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.ordering import StepEdges, edges_by_step, find_cycles, reachable_steps
from runtara_compiler.language.steps import ErrorStep, FinishStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.language.walk import all_steps
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
    """E002, E003, E005, E073 and W003."""
    reachable = reachable_steps(graph)
    for step_id in graph.steps:
        if step_id not in reachable:
            yield step_finding("E002", step_id, f"not reachable from the entry point {quoted(graph.entry_point)}")
    finishes = [step_id for step_id, step in graph.steps.items() if isinstance(step, FinishStep)]
    if finishes and not any(step_id in reachable for step_id in finishes):
        yield graph_finding("E003", f"no Finish step can be reached ({names(finishes)}), so the result is null")
    for cycle in find_cycles(graph):
        yield step_finding("E005", cycle[0], "the steps form a cycle: " + " -> ".join(map(quoted, cycle)))
    sources = {edge.from_step for edge in graph.execution_plan}
    for step_id, step in graph.steps.items():
        if not isinstance(step, FinishStep | ErrorStep) and step_id not in sources:
            yield step_finding("W003", step_id, f"the {step.step_type} step has no outgoing edge")
    yield from _check_fan_outs(graph)


def _check_fan_outs(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    """E073: branches side by side that each have a Finish of their own, of which only one can give the result."""
    leaving = edges_by_step(graph)
    for step_id, edges in leaving.items():
        branches = [edge.to_step for edge in edges.then if edge.condition is None and not edge.label]
        if len(branches) < 2 or len(branches) < len(edges.then):
            continue
        ends = {target: _finishes_behind(graph, leaving, target) for target in branches}
        apart = [target for target in branches if ends[target]]
        if len(apart) > 1 and not set.intersection(*(ends[target] for target in apart)):
            text = f"the branches to {names(apart)} run side by side, but each ends in a Finish of its own"
            yield step_finding(
                "E073", step_id, f"{text}, of which only the first would count; let them meet before one"
            )


def _finishes_behind(graph: ExecutionGraph, leaving: Mapping[str, StepEdges], start: str) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        step_id = waiting.pop()
        if step_id not in found:
            found.add(step_id)
            waiting += [edge.to_step for edge in leaving[step_id].all]
    return {step_id for step_id in found if isinstance(graph.steps[step_id], FinishStep)}


def check_names(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    """E060 and E128, over a scenario and all bodies in it."""
    bearers: dict[str, list[str]] = {}
    waiting: Counter[str] = Counter()
    for step in all_steps(graph):
        if step.name is not None:
            bearers.setdefault(step.name, []).append(step.id)
        if isinstance(step, WaitForSignalStep):
            waiting[step.id] += 1
    for step_id, count in waiting.items():
        if count > 1:
            text = "several WaitForSignal steps of the scenario have this id, so one signal would answer all of them"
            yield step_finding("E128", step_id, text)
    for name, step_ids in bearers.items():
        if len(step_ids) > 1:
            yield graph_finding(
                "E060", f"the name {quoted(name)} is given to several steps: {names(step_ids)}", "steps"
            )
