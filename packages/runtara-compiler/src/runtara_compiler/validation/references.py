"""Rules of references: their syntax, their roots, and whether what they name can be there."""

from __future__ import annotations

from collections.abc import Iterator

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import Step
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.ordering import StepCycleError, StepOrder, order_steps
from runtara_compiler.language.paths import PathSyntaxError, Segment
from runtara_compiler.language.schema import SchemaField, SchemaMap
from runtara_compiler.language.shapes import Items, Leaf, Record, Shape
from runtara_compiler.language.steps import ConnectionStep, FinishStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.agents import AgentCatalog
from runtara_compiler.validation.findings import graph_finding, step_finding
from runtara_compiler.validation.reading import PathUse, paths_of
from runtara_compiler.validation.scope import (
    BODY_VARIABLES,
    ERROR_ROOTS,
    LOOP_ROOTS,
    ROOTS,
    GraphScope,
)
from runtara_compiler.validation.secrets import leak_of

_RECORD_FIELDS = frozenset({"stepId", "stepName", "stepType", "outputs"})


class ReferenceRules:
    """Checks the references of one graph.

    E010 to E013, E040 to E042, E051, E058, E059, E126, E127, W050, W051, W053, W080 and W081.
    """

    def __init__(self, scope: GraphScope, agents: AgentCatalog) -> None:
        self._scope = scope
        self._agents = agents
        self._graph = scope.graph
        try:
            order = order_steps(scope.graph)
        except StepCycleError:
            # The cycle is an error of its own (E005); without an order there is no earlier and later.
            order = StepOrder((), {}, frozenset())
        self._positions = order.positions()

    def check(self) -> Iterator[Diagnostic]:
        """All findings, in the order of the paths."""
        for use in paths_of(self._scope):
            yield from self.check_use(use)

    def check_use(self, use: PathUse) -> Iterator[Diagnostic]:
        """The findings of one path."""
        if not use.path.strip() and isinstance(self._graph.steps[use.step_id], FinishStep):
            return  # E118 says it better
        try:
            segments = use.segments()
        except PathSyntaxError as error:
            yield _finding("E011", use, f"is malformed: {error.reason}")
            return
        root, rest = segments[0], segments[1:]
        if root in ("scenario", "workflow"):
            if len(rest) < 2 or rest[0] != "inputs" or rest[1] not in ("data", "variables"):
                yield _finding("E126", use, f"must go on as {root}.inputs.data or {root}.inputs.variables")
                return
            root, rest = rest[1], rest[2:]
        if root == "steps":
            yield from self._check_step(use, rest)
        elif root == "data":
            yield from self._check_data(use, rest)
        elif root == "variables":
            yield from self._check_variable(use, rest)
        else:
            yield from _check_other_root(use, str(root))

    def _check_step(self, use: PathUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest:
            secret = next((step for step in self._graph.steps.values() if isinstance(step, ConnectionStep)), None)
            if secret is not None:
                yield from self._check_leak(use, secret)
            return
        step_id = str(rest[0])
        target = self._graph.steps.get(step_id)
        if isinstance(target, ConnectionStep):
            yield from self._check_leak(use, target)
        if target is None:
            if step_id in ERROR_ROOTS:
                if not use.roots >= ERROR_ROOTS:
                    yield _finding("E127", use, f"reads steps.{step_id}, which exists only in a failure handler")
                return
            suggestion = did_you_mean(step_id, self._graph.steps)
            yield _finding("E010", use, f"names the step {quoted(step_id)}, which does not exist{suggestion}")
            return
        if step_id == use.step_id and not use.on_edge:
            yield _finding("W050", use, "reads the step's own record, which is null before the step has run")
            return
        own, other = self._positions.get(use.step_id), self._positions.get(step_id)
        if own is not None and other is not None and other > own:
            text = f"reads the step {quoted(step_id)}, which runs after the step {quoted(use.step_id)}"
            yield _finding("E012", use, text)
            return
        yield from self._check_record(use, target, rest[1:])

    def _check_leak(self, use: PathUse, secret: ConnectionStep) -> Iterator[Diagnostic]:
        leak = leak_of(self._graph.steps[use.step_id], self._agents, on_edge=use.on_edge)
        if leak is not None:
            code, reason = leak
            who = f"agents that may read them are {listing(self._agents.secure_ids)}"
            text = (
                f"the path {quoted(use.path)} reads the secrets of the connection {quoted(secret.id)}: {reason} ({who})"
            )
            if use.on_edge:
                yield graph_finding(code, f"edge from {quoted(use.step_id)}: {text}", *use.place)
            else:
                yield step_finding(code, use.step_id, text, *use.place)

    def _check_record(self, use: PathUse, target: Step, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest or use.has_default:
            return
        known = _RECORD_FIELDS | target.record_extras
        if rest[0] not in known:
            name = str(rest[0])
            suggestion = f"{did_you_mean(name, known)} (it has {listing(known)})"
            yield _finding("W081", use, f"reads {quoted(name)}, which the record of a step does not have{suggestion}")
        elif rest[0] == "outputs":
            yield from _check_shape(use, target.output_shape, rest[1:], f"the output of a {target.step_type} step")

    def _check_data(self, use: PathUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        schema = self._scope.data_schema
        if not rest:
            return
        if schema:
            yield from _check_fields(use, schema, rest, "'inputSchema'")
        elif self._scope.expects_schema:
            yield _finding("W080", use, "is not checked, because the graph has no 'inputSchema'")

    def _check_variable(self, use: PathUse, rest: tuple[Segment, ...]) -> Iterator[Diagnostic]:
        if not rest:
            return
        name, known = str(rest[0]), self._scope.variables
        if name in known:
            return
        if name in BODY_VARIABLES:
            text = f"reads the variable {name!r}, which exists only in bodies of steps and in children"
            yield _finding("E127", use, text)
            return
        text = f"reads the variable {quoted(name)}, which is not defined{did_you_mean(name, known)}"
        yield _finding("E013", use, f"{text} (variables: {listing(known)})")


def _check_other_root(use: PathUse, root: str) -> Iterator[Diagnostic]:
    if root in use.roots:
        if root in ERROR_ROOTS:
            yield _finding("W053", use, f"reads the error as {root!r}; 'steps.__error' is the form to prefer")
    elif root in ERROR_ROOTS:
        yield _finding("E127", use, f"starts with {root!r}, which exists only in a failure handler")
    elif root in LOOP_ROOTS:
        yield _finding("E127", use, f"starts with {root!r}, which exists only in {LOOP_ROOTS[root]}")
    else:
        known = use.roots | ROOTS
        suggestion = did_you_mean(root, known)
        text = f"starts with the unknown root {quoted(root)}{suggestion} (roots: {listing(known)})"
        yield _finding("E126", use, text)


def _check_shape(use: PathUse, shape: Shape, rest: tuple[Segment, ...], what: str) -> Iterator[Diagnostic]:
    for segment in rest:
        name = str(segment)
        if isinstance(shape, Leaf):
            yield _finding("E059", use, f"goes on with {quoted(name)} below a plain value of {what}")
            return
        if isinstance(shape, Items):
            shape = shape.item
        elif isinstance(shape, Record):
            if name not in shape.members:
                known = f"{did_you_mean(name, shape.members)} (it has {listing(shape.members)})"
                yield _finding("E058", use, f"reads {quoted(name)}, which {what} does not have{known}")
                return
            shape = shape.members[name]
        else:
            return


def _check_fields(use: PathUse, fields: SchemaMap, rest: tuple[Segment, ...], what: str) -> Iterator[Diagnostic]:
    """A path below an object whose fields are declared."""
    name = str(rest[0])
    if name not in fields:
        text = f"reads the field {quoted(name)}, which {what} does not declare"
        yield _finding("E051", use, f"{text}{did_you_mean(name, fields)} (fields: {listing(fields)})")
        return
    declared: SchemaField | None = fields[name]
    for index, segment in enumerate(rest[1:], start=1):
        if declared is None or declared.type == "file":
            return
        if declared.type == "array":
            declared = declared.items
        elif declared.type != "object":
            text = f"goes on with {quoted(str(segment))} below a field of the type {declared.type}"
            yield _finding("E059", use, text)
            return
        elif declared.properties:
            yield from _check_fields(
                use, declared.properties, rest[index:], f"the field {quoted(str(rest[index - 1]))}"
            )
            return
        else:
            text = f"is not checked below {quoted(str(rest[index - 1]))}, an object without declared properties"
            yield _finding("W051", use, text)
            return


def _finding(code: str, use: PathUse, text: str) -> Diagnostic:
    message = f"the path {quoted(use.path)} {text}"
    if use.in_template and code not in ("E011", "W080", "W051"):
        code = "W052"
    if use.on_edge:
        return graph_finding(code, f"edge from {quoted(use.step_id)}: {message}", *use.place)
    return step_finding(code, use.step_id, message, *use.place)
