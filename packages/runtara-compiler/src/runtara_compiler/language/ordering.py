"""The order in which the steps of a graph run.

The order is topological over the edges a run may follow: normal ones, those of the outcomes of a Conditional or a
routing Switch, and those to failure handlers.
A step runs when one of its incoming edges was taken, after everything that can take one; so a join waits for
its predecessors, and each step runs at most once. Among steps that are ready, those found first in
breadth-first order go first, and Finish steps go last: a Finish ends the graph, and all targets of a fan-out
are meant to run.

Edges out of a Finish or an Error, and edges that name unknown steps, are not ordered.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

from runtara_compiler.language.graph import Edge, ExecutionGraph
from runtara_compiler.language.steps import BaseStep, ErrorStep, FinishStep

MAXIMUM_CYCLES = 20


class StepCycleError(ValueError):
    """Edges lead from a step back to itself; `steps` is the loop, its first step repeated at the end."""

    def __init__(self, steps: tuple[str, ...]) -> None:
        super().__init__("the steps form a cycle: " + " -> ".join(steps))
        self.steps = steps


@dataclass(frozen=True, slots=True)
class StepOrder:
    """The order of the steps that can be reached from the entry point.

    Attributes:
        steps: step ids in the order in which they run.
        incoming: step id to the edges that can activate it, in document order; empty for the entry.
        always: the steps that every run activates, whatever outcomes, conditions and handled failures there are (a
            failure or a Finish may still end the run before them); the others need a check of their incoming edges.
    """

    steps: tuple[str, ...]
    incoming: Mapping[str, tuple[Edge, ...]]
    always: frozenset[str]

    def positions(self) -> dict[str, int]:
        """Step id to its place in `steps`."""
        return {step_id: place for place, step_id in enumerate(self.steps)}


@dataclass(frozen=True, slots=True)
class StepEdges:
    """The edges that leave one step, each target once in its group, in the order of the document.

    Attributes:
        then: those that a success takes.
        outcomes: those of each outcome, by label.
        on_error: those to handlers.
    """

    then: tuple[Edge, ...]
    outcomes: Mapping[str, tuple[Edge, ...]]
    on_error: tuple[Edge, ...]

    @property
    def all(self) -> tuple[Edge, ...]:
        """The edges of all groups."""
        return (*self.then, *(edge for edges in self.outcomes.values() for edge in edges), *self.on_error)


def edges_by_step(graph: ExecutionGraph) -> dict[str, StepEdges]:
    """The edges that a run may follow, by the step that they leave."""
    leaving: dict[str, list[Edge]] = {step_id: [] for step_id in graph.steps}
    for edge in graph.execution_plan:
        source = graph.steps.get(edge.from_step)
        if source is not None and edge.to_step in graph.steps and not isinstance(source, FinishStep | ErrorStep):
            leaving[edge.from_step].append(edge)
    return {step_id: _grouped(graph.steps[step_id], edges) for step_id, edges in leaving.items()}


def active_edges(graph: ExecutionGraph) -> tuple[Edge, ...]:
    """The edges that a run may follow."""
    return tuple(edge for edges in edges_by_step(graph).values() for edge in edges.all)


def _grouped(step: BaseStep, edges: list[Edge]) -> StepEdges:
    then: list[Edge] = []
    outcomes: dict[str, list[Edge]] = {label: [] for label in step.outcomes}
    on_error: list[Edge] = []
    for edge in edges:
        if edge.label in outcomes:
            outcomes[edge.label].append(edge)
        elif edge.is_normal:
            then.append(edge)
        elif edge.is_handler and step.is_fallible:
            on_error.append(edge)
    return StepEdges(
        _without_repetition(then),
        {label: _without_repetition(found) for label, found in outcomes.items()},
        _without_repetition(on_error),
    )


def _without_repetition(edges: list[Edge]) -> tuple[Edge, ...]:
    """Each unconditional edge once; edges with conditions are all kept, as each may lead to the same step."""
    plain: set[str] = set()
    kept: list[Edge] = []
    for edge in edges:
        if edge.condition is None:
            if edge.to_step in plain:
                continue
            plain.add(edge.to_step)
        kept.append(edge)
    return tuple(kept)


def order_steps(graph: ExecutionGraph) -> StepOrder:
    """Order the steps reachable from the entry point.

    Raises:
        StepCycleError: the reachable steps form a cycle.
    """
    leaving = edges_by_step(graph)
    edges = tuple(edge for found in leaving.values() for edge in found.all)
    discovered = _breadth_first(graph.entry_point, edges) if graph.entry_point in graph.steps else {}
    incoming: dict[str, list[Edge]] = {step_id: [] for step_id in discovered}
    for edge in edges:
        if edge.from_step in discovered:
            incoming[edge.to_step].append(edge)

    def rank(step_id: str) -> tuple[bool, int, str]:
        return isinstance(graph.steps[step_id], FinishStep), discovered[step_id], step_id

    waiting = {step_id: len(found) for step_id, found in incoming.items()}
    ready = [rank(step_id) for step_id, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    ordered: list[str] = []
    while ready:
        _, _, step_id = heapq.heappop(ready)
        ordered.append(step_id)
        for edge in leaving[step_id].all:
            waiting[edge.to_step] -= 1
            if waiting[edge.to_step] == 0:
                heapq.heappush(ready, rank(edge.to_step))
    if len(ordered) < len(discovered):
        raise StepCycleError(_find_cycle(set(discovered) - set(ordered), edges))
    return StepOrder(
        steps=tuple(ordered),
        incoming={step_id: tuple(incoming[step_id]) for step_id in ordered},
        always=_always_active(ordered, leaving),
    )


def find_cycles(graph: ExecutionGraph) -> list[tuple[str, ...]]:
    """Cycles among all steps, reachable or not; disjoint, and at most `MAXIMUM_CYCLES`."""
    edges = active_edges(graph)
    remaining = set(graph.steps)
    cycles: list[tuple[str, ...]] = []
    while (remaining := _steps_behind_cycles(remaining, edges)) and len(cycles) < MAXIMUM_CYCLES:
        cycle = _find_cycle(remaining, edges)
        cycles.append(cycle)
        remaining -= set(cycle)
    return cycles


def reachable_steps(graph: ExecutionGraph) -> frozenset[str]:
    """The steps to which edges of any label lead from the entry point; handlers are among them."""
    if graph.entry_point not in graph.steps:
        return frozenset()
    leading = (
        edge
        for edge in graph.execution_plan
        if edge.to_step in graph.steps and not isinstance(graph.steps.get(edge.from_step), FinishStep)
    )
    return frozenset(_breadth_first(graph.entry_point, leading))


def _breadth_first(entry_point: str, edges: Iterable[Edge]) -> dict[str, int]:
    """Step id to its number in breadth-first order."""
    targets: dict[str, list[str]] = {}
    for edge in edges:
        targets.setdefault(edge.from_step, []).append(edge.to_step)
    found = {entry_point: 0}
    queue = deque([entry_point])
    while queue:
        for target in targets.get(queue.popleft(), ()):
            if target not in found:
                found[target] = len(found)
                queue.append(target)
    return found


def _always_active(ordered: list[str], leaving: Mapping[str, StepEdges]) -> frozenset[str]:
    """The steps that run whatever is found on the way.

    A handled failure gives up what else waited, so no step after the first one with a handler is certain.
    """
    if not ordered:
        return frozenset()
    bit = {step_id: 1 << place for place, step_id in enumerate(ordered)}
    # From the last step backwards: the set of steps, as bits, that certainly run once a step runs.
    certain: dict[str, int] = {}
    for step_id in reversed(ordered):
        edges = leaving[step_id]
        followed = _certainly_followed(edges.then, certain)
        if edges.outcomes:
            followed |= reduce(and_, (_certainly_followed(group, certain) for group in edges.outcomes.values()))
        certain[step_id] = bit[step_id] | followed
    handled = next((place for place, step_id in enumerate(ordered) if leaving[step_id].on_error), len(ordered))
    return frozenset(step_id for step_id in ordered[: handled + 1] if certain[ordered[0]] & bit[step_id])


def _certainly_followed(edges: tuple[Edge, ...], certain: Mapping[str, int]) -> int:
    """What certainly runs after a group of edges: all without a condition are taken, or one with a condition."""
    plain = reduce(or_, (certain[edge.to_step] for edge in edges if edge.condition is None), 0)
    conditional = [certain[edge.to_step] for edge in edges if edge.condition is not None]
    return reduce(and_, conditional, plain)


def _steps_behind_cycles(steps: set[str], edges: Iterable[Edge]) -> set[str]:
    """The steps that remain when those without a predecessor are taken away again and again."""
    waiting = dict.fromkeys(steps, 0)
    outgoing: dict[str, list[str]] = {step_id: [] for step_id in steps}
    for edge in edges:
        if edge.from_step in steps and edge.to_step in steps:
            waiting[edge.to_step] += 1
            outgoing[edge.from_step].append(edge.to_step)
    free = [step_id for step_id, count in waiting.items() if count == 0]
    remaining = set(steps)
    while free:
        step_id = free.pop()
        remaining.discard(step_id)
        for target in outgoing[step_id]:
            waiting[target] -= 1
            if waiting[target] == 0:
                free.append(target)
    return remaining


def _find_cycle(steps: set[str], edges: Iterable[Edge]) -> tuple[str, ...]:
    """One cycle among steps of which each has a predecessor in the same set."""
    predecessor: dict[str, str] = {}
    for edge in edges:
        if edge.from_step in steps and edge.to_step in steps:
            predecessor.setdefault(edge.to_step, edge.from_step)
    walked: dict[str, int] = {}
    step_id = min(steps)
    while step_id not in walked:
        walked[step_id] = len(walked)
        step_id = predecessor[step_id]
    loop = [name for name, place in walked.items() if place >= walked[step_id]]
    loop.reverse()
    # Start at the least name, so that the message does not depend on where the walk began.
    start = loop.index(min(loop))
    loop = loop[start:] + loop[:start]
    return (*loop, loop[0])
