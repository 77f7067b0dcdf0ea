"""Rules of references: their syntax, their roots, and whether what they name can be there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.mapping import Reference
from runtara_compiler.language.ordering import StepCycleError, StepOrder, order_steps
from runtara_compiler.language.paths import PathSyntaxError, Segment
from runtara_compiler.language.scenario import ExecutionGraph
from runtara_compiler.language.steps import Step
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.language.walk import values_of
from runtara_compiler.validation.findings import step_finding

ROOTS = frozenset({"data", "variables", "steps", "scenario", "workflow"})
_ELSEWHERE = {
    "loop": "a While step",
    "item": "a Filter step or the body of a Split",
    "iteration": "the body of a Split or While",
    "error": "a failure handler",
    "__error": "a failure handler",
}
BUILT_IN_VARIABLES = frozenset({"_scenario_id", "_workflow_id", "_instance_id", "_tenant_id"})
_BODY_VARIABLES = frozenset(
    {
        *("_cache_key_prefix", "_index", "_item", "_loop", "_loop_indices", "_parent_scope_id"),
        *("_previousOutputs", "_scope_id", "_signal_id"),
    }
)
_RECORD_FIELDS = frozenset({"stepId", "stepName", "stepType", "outputs"})
_RECORD_EXTRAS = {"Delay": frozenset({"duration_ms"})}
_OUTPUT_FIELDS = {
    "Conditional": frozenset({"result"}),
    "Delay": frozenset({"duration_ms"}),
    "Log": frozenset({"level", "message"}),
}


@dataclass(frozen=True, slots=True)
class ReferenceUse:
    """A reference and where it stands: its step and the place inside it."""

    step_id: str
    place: tuple[Segment, ...]
    reference: Reference


def references_of(step: Step) -> Iterator[ReferenceUse]:
    """All references of a step, in the order of its fields."""
    for use in values_of(step):
        if isinstance(use.value, Reference):
            yield ReferenceUse(step.id, use.place, use.value)


class ReferenceRules:
    """Checks the references of one graph: E010 to E013, E051, E126, E127, W050, W080 and W081."""

    def __init__(self, graph: ExecutionGraph) -> None:
        self._graph = graph
        try:
            order = order_steps(graph)
        except StepCycleError:
            # The cycle is an error of its own (E005); without an order there is no earlier and later.
            order = StepOrder((), {}, frozenset())
        self._positions = order.positions()

    def check(self) -> Iterator[Diagnostic]:
        """All findings, step by step."""
        for step in self._graph.steps.values():
            for use in references_of(step):
                yield from self._check_use(use)

    def _check_use(self, use: ReferenceUse) -> Iterator[Diagnostic]:
        try:
            segments = use.reference.segments
        except PathSyntaxError as error:
            yield self._finding("E011", use, f"is malformed: {error.reason}")
            return
        root, rest = segments[0], segments[1:]
        if root in ("scenario", "workflow"):
            if len(rest) < 2 or rest[0] != "inputs" or rest[1] not in ("data", "variables"):
                text = f"must go on as {root}.inputs.data or {root}.inputs.variables"
                yield self._finding("E126", use, text)
                return
            root, rest = rest[1], rest[2:]
        if root == "steps":
            yield from self._check_step(use, rest)
        elif root == "data":
            yield from self._check_data(use, rest)
        elif root == "variables":
            yield from self._check_variable(use, rest)
        elif root in _ELSEWHERE:
            yield self._finding("E127", use, f"starts with {root!r}, which exists only in {_ELSEWHERE[root]}")
        else:
            suggestion = did_you_mean(str(root), ROOTS)
            text = f"starts with the unknown root {quoted(str(root))}{suggestion} (roots: {listing(ROOTS)})"
            yield self._finding("E126", use, text)

    def _check_step(self, use: ReferenceUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest:
            return
        step_id = str(rest[0])
        target = self._graph.steps.get(step_id)
        if target is None:
            if step_id in ("error", "__error"):
                yield self._finding("E127", use, f"reads steps.{step_id}, which exists only in a failure handler")
                return
            suggestion = did_you_mean(step_id, self._graph.steps)
            yield self._finding("E010", use, f"names the step {quoted(step_id)}, which does not exist{suggestion}")
            return
        if step_id == use.step_id:
            yield self._finding("W050", use, "reads the step's own record, which is null before the step has run")
            return
        own, other = self._positions.get(use.step_id), self._positions.get(step_id)
        if own is not None and other is not None and other > own:
            text = f"reads the step {quoted(step_id)}, which runs after the step {quoted(use.step_id)}"
            yield self._finding("E012", use, text)
            return
        yield from self._check_record(use, target, rest[1:])

    def _check_record(self, use: ReferenceUse, target: Step, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest or use.reference.has_default:
            return
        known = _RECORD_FIELDS | _RECORD_EXTRAS.get(target.step_type, frozenset())
        unknown, what = rest[0], "the record of a step"
        if rest[0] in known:
            outputs = _OUTPUT_FIELDS.get(target.step_type)
            if rest[0] != "outputs" or outputs is None or len(rest) < 2 or rest[1] in outputs:
                return
            unknown, what, known = rest[1], f"the output of a {target.step_type} step", outputs
        name = str(unknown)
        text = f"reads {quoted(name)}, which {what} does not have{did_you_mean(name, known)} (it has {listing(known)})"
        yield self._finding("W081", use, text)

    def _check_data(self, use: ReferenceUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest:
            return
        schema = self._graph.input_schema
        field = str(rest[0])
        if not schema:
            yield self._finding("W080", use, "is not checked, because the graph has no 'inputSchema'")
        elif field not in schema:
            text = f"reads the field {quoted(field)}, which 'inputSchema' does not declare"
            known = f"{did_you_mean(field, schema)} (fields: {listing(schema)})"
            yield self._finding("E051", use, text + known)

    def _check_variable(self, use: ReferenceUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest:
            return
        name = str(rest[0])
        if name in self._graph.variables or name in BUILT_IN_VARIABLES:
            return
        if name in _BODY_VARIABLES:
            text = f"reads the variable {name!r}, which exists only in bodies of steps and in children"
            yield self._finding("E127", use, text)
            return
        known = frozenset(self._graph.variables) | BUILT_IN_VARIABLES
        text = f"reads the variable {quoted(name)}, which is not defined{did_you_mean(name, known)}"
        yield self._finding("E013", use, f"{text} (variables: {listing(known)})")

    def _finding(self, code: str, use: ReferenceUse, text: str) -> Diagnostic:
        return step_finding(code, use.step_id, f"the path {quoted(use.reference.value)} {text}", *use.place)
