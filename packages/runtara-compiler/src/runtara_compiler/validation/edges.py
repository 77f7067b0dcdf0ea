"""Rules of the edges: their ends, their labels, and which may stand beside one another."""

from __future__ import annotations

from collections.abc import Iterator

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ERROR_LABEL, Edge, ExecutionGraph, Step
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.steps import ConditionalStep, ErrorStep, FinishStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.findings import graph_finding, names, step_finding


def check_edges(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    """E014, E070, E071, E072, E074, W004 and W040."""
    for index, edge in enumerate(graph.execution_plan):
        yield from _check_ends(graph, index, edge)
        source = graph.steps.get(edge.from_step)
        if source is not None:
            yield from _check_label(source, edge)
    yield from _check_siblings(graph)


def _check_ends(graph: ExecutionGraph, index: int, edge: Edge) -> Iterator[Diagnostic]:
    for field, step_id in (("fromStep", edge.from_step), ("toStep", edge.to_step)):
        if step_id not in graph.steps:
            yield graph_finding(
                "E014",
                f"the edge {quoted(edge.from_step)} -> {quoted(edge.to_step)} names the step {quoted(step_id)}, "
                f"which does not exist{did_you_mean(step_id, graph.steps)}",
                "executionPlan",
                index,
                field,
            )


def _check_label(source: Step, edge: Edge) -> Iterator[Diagnostic]:
    target = quoted(edge.to_step)
    if isinstance(source, FinishStep | ErrorStep):
        ends = "ends" if isinstance(source, FinishStep) else "fails"
        yield step_finding("W004", source.id, f"the edge to {target} is never followed; this step {ends} the graph")
    elif edge.label in source.outcomes or (edge.is_handler and source.is_fallible):
        return
    elif isinstance(source, ConditionalStep):
        found = "no label" if edge.label is None else f"the label {quoted(edge.label)}"
        suggestion = did_you_mean(edge.label, source.outcomes) if edge.label else ""
        yield step_finding(
            "E072",
            source.id,
            f"the edge to {target} has {found}; a Conditional's are 'true' and 'false'{suggestion}",
        )
    elif not edge.is_normal:
        known = (*source.outcomes, "next", ERROR_LABEL)
        yield step_finding(
            "E074",
            source.id,
            f"the edge to {target} has the label {quoted(edge.label or '')}, which has no meaning on this "
            f"{source.step_type} step{did_you_mean(edge.label or '', known)} (labels: {listing(known)})",
        )


def _check_siblings(graph: ExecutionGraph) -> Iterator[Diagnostic]:
    siblings: dict[tuple[str, str | None], list[Edge]] = {}
    for edge in graph.execution_plan:
        siblings.setdefault((edge.from_step, edge.label or None), []).append(edge)
    for (step_id, label), edges in siblings.items():
        conditional = [edge for edge in edges if edge.condition is not None]
        plain = [edge for edge in edges if edge.condition is None]
        shown = "without a label" if label is None else f"labelled {quoted(label)}"
        exempt = isinstance(graph.steps.get(step_id), ConditionalStep | FinishStep)
        if not exempt:
            for priority in sorted({edge.priority for edge in conditional}):
                if sum(edge.priority == priority for edge in conditional) > 1:
                    yield step_finding(
                        "E070", step_id, f"several conditional edges {shown} have the same priority {priority}"
                    )
        targets = [edge.to_step for edge in plain]
        if not exempt and len(plain) > 1 and (label is not None or conditional):
            yield step_finding("E071", step_id, f"several edges {shown} lead to {names(targets)}; keep one of them")
        else:
            for target in dict.fromkeys(targets):
                if targets.count(target) > 1:
                    yield step_finding("W040", step_id, f"the edge {shown} to {quoted(target)} is given more than once")
