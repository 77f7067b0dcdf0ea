"""Scenarios drawn at random, against plain models that share no code with the run time.

`RUNTARA_PROPERTY_EXAMPLES` makes the run longer: it is the number of scenarios of each property, 50 unless set.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow

EXAMPLES = int(os.environ.get("RUNTARA_PROPERTY_EXAMPLES", "50"))

ALWAYS = {"type": "value", "valueType": "immediate", "value": True}
NEVER = {"type": "value", "valueType": "immediate", "value": False}


def outcome_of(document: dict[str, Any], data: Any = None) -> TrialOutcome:
    workflow = load_workflow(CompilationInput("trial", "drawn", 1, json.dumps(document)))
    return asyncio.run(try_workflow(workflow, Trial(data=data or {})))


# Graphs


@dataclass(frozen=True)
class DrawnEdge:
    """An edge to a later node; `holds` is None for one without condition."""

    target: int
    label: str | None = None
    holds: bool | None = None
    priority: int = 0


@dataclass(frozen=True)
class DrawnNode:
    """A Log step, or a Conditional with a known outcome."""

    truth: bool | None
    edges: tuple[DrawnEdge, ...]


@st.composite
def graphs(draw: st.DrawFn) -> list[DrawnNode]:
    """Acyclic graphs in which every node can be reached from the first, and leads to the last, which is the Finish."""
    count = draw(st.integers(1, 9))
    truths = [draw(st.sampled_from((None, None, True, False))) for _ in range(count)]
    edges: list[dict[tuple[int, str | None], DrawnEdge]] = [{} for _ in range(count)]

    def add(source: int, target: int, label: str | None = None) -> None:
        if truths[source] is not None and label is None:
            label = draw(st.sampled_from(("true", "false")))
        holds = draw(st.sampled_from((None, None, True, False))) if label is None else None
        # No two of a node may have the same.
        priority = target * draw(st.sampled_from((-1, 1))) if holds is not None else 0
        edges[source].setdefault((target, label), DrawnEdge(target, label, holds, priority))

    for target in range(1, count):
        for source in draw(st.sets(st.integers(0, target - 1), min_size=1, max_size=3)):
            add(source, target)
    for source in range(count):
        labels = ("true", "false") if truths[source] is not None else (None,)
        for label in labels:
            if not any(edge.label == label for edge in edges[source].values()):
                edges[source].setdefault((count, label), DrawnEdge(count, label))
    return [DrawnNode(truth, _choosing(own.values())) for truth, own in zip(truths, edges, strict=True)]


def _choosing(edges: Iterable[DrawnEdge]) -> tuple[DrawnEdge, ...]:
    """Where one edge has a condition, all have one, but for one that is taken when none holds."""
    own = list(edges)
    if any(edge.holds is not None for edge in own):
        others = [edge for edge in own if edge.holds is None][1:]
        own = [
            DrawnEdge(edge.target, None, edge.target % 2 == 0, edge.target) if edge in others else edge for edge in own
        ]
    return tuple(own)


def followed(node: DrawnNode) -> Iterable[int]:
    """The model: which edges of a node that was done are taken."""
    label = None if node.truth is None else str(node.truth).lower()
    own = [edge for edge in node.edges if edge.label == label]
    # Of those with a condition the first that holds, by priority and then as written; else all without one.
    conditional = sorted((edge for edge in own if edge.holds is not None), key=lambda edge: -edge.priority)
    first = next((edge for edge in conditional if edge.holds), None)
    return [first.target] if first else [edge.target for edge in own if edge.holds is None]


def document_of(nodes: list[DrawnNode]) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    plan = []
    for number, node in enumerate(nodes):
        if node.truth is None:
            steps[f"n{number}"] = {"stepType": "Log", "message": f"n{number}"}
        else:
            steps[f"n{number}"] = {"stepType": "Conditional", "condition": ALWAYS if node.truth else NEVER}
        for edge in node.edges:
            written: dict[str, Any] = {"fromStep": f"n{number}", "toStep": f"n{edge.target}"}
            if edge.label is not None:
                written["label"] = edge.label
            if edge.holds is not None:
                written |= {"condition": ALWAYS if edge.holds else NEVER, "priority": edge.priority}
            plan.append(written)
    steps[f"n{len(nodes)}"] = {"stepType": "Finish", "inputMapping": {"ended": {"valueType": "immediate", "value": 1}}}
    return {"entryPoint": "n0", "steps": steps, "executionPlan": plan}


@given(graphs())
@settings(max_examples=EXAMPLES, deadline=None)
def test_each_step_that_is_active_is_done_once_and_after_its_predecessors(nodes: list[DrawnNode]) -> None:
    reached = {0}
    active: list[tuple[int, int]] = []
    for number, node in enumerate(nodes):
        if number in reached:
            for target in followed(node):
                reached.add(target)
                active.append((number, target))
    outcome = outcome_of(document_of(nodes))
    done = [int(event["message"][1:]) for event in outcome.events]
    logged = {number for number, node in enumerate(nodes) if node.truth is None}
    assert sorted(done) == sorted(reached & logged)
    position = {number: index for index, number in enumerate(done)}
    assert all(position[one] < position[other] for one, other in active if {one, other} <= position.keys())
    assert outcome.output == ({"ended": 1} if len(nodes) in reached else None)


# Conditions

numbers = st.one_of(
    st.integers(-10, 10),
    st.integers(2**53, 2**53 + 4),
    st.sampled_from((0.5, -0.5, 1.0, 2.0, 1e300, 0.1)),
)
texts = st.one_of(st.text(max_size=3), st.sampled_from(("1", "1.0", "-2", "0.5", " 1", "1e0", "true", "x", "")))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


def as_number(value: Any) -> Fraction | None:
    """Numbers, booleans as 1 and 0, and texts that spell a JSON-like number."""
    if isinstance(value, bool | int | float):
        return Fraction(value)
    if not isinstance(value, str) or not value or value != value.strip() or not value.isascii() or "_" in value:
        return None
    if any(character not in "+-.0123456789eE" for character in value):
        return None
    try:
        return Fraction(value) if value.lstrip("+-").isdigit() else Fraction(float(value))
    except ValueError:
        return None


def same(left: Any, right: Any) -> bool:
    """Equality as the language has it: a number equals a text that spells it, a boolean nothing but itself."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return Fraction(left) == Fraction(right)
    if isinstance(left, int | float) and isinstance(right, str):
        return as_number(right) == Fraction(left)
    if isinstance(left, str) and isinstance(right, int | float):
        return same(right, left)
    return exactly_same(left, right)


def exactly_same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return Fraction(left) == Fraction(right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(exactly_same(*pair) for pair in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(exactly_same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def truthy(value: Any) -> bool:
    return value is not None and value is not False and value not in ("", [], {}) and (value is True or value != 0)


def model_of(operator: str, left: Any, right: Any) -> bool:
    """What the two-sided operators give."""
    ordered = as_number(left), as_number(right)
    both = ordered[0] is not None and ordered[1] is not None
    # What is compared has an order.
    compared = 0 if not both else (ordered[0] > ordered[1]) - (ordered[0] < ordered[1])  # type: ignore[operator]
    is_texts = isinstance(left, str) and isinstance(right, str)
    match operator:
        case "EQ":
            return same(left, right)
        case "NE":
            return not same(left, right)
        case "GT":
            return both and compared > 0
        case "GTE":
            return both and compared >= 0
        case "LT":
            return both and compared < 0
        case "LTE":
            return both and compared <= 0
        case "STARTS_WITH":
            return is_texts and left[: len(right)] == right
        case "ENDS_WITH":
            return is_texts and left[max(0, len(left) - len(right)) :] == right
        case "CONTAINS":
            if isinstance(left, list):
                return any(same(item, right) for item in left)
            return is_texts and left.find(right) >= 0
        case "IN":
            return isinstance(right, list) and any(same(item, left) for item in right)
        case "NOT_IN":
            return not (isinstance(right, list) and any(same(item, left) for item in right))
        case "AND":
            return truthy(left) and truthy(right)
        case "OR":
            return truthy(left) or truthy(right)
    raise AssertionError(operator)


OPERATORS = ["EQ", "NE", "GT", "GTE", "LT", "LTE", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "IN", "NOT_IN", "AND", "OR"]


def conditional(operator: str, *arguments: Any) -> dict[str, Any]:
    return {"type": "operation", "op": operator, "arguments": list(arguments)}


@given(st.lists(st.tuples(values, values), min_size=1, max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_conditions_hold_as_the_plain_model_says(pairs: list[tuple[Any, Any]]) -> None:
    outputs: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    for number, (_, right) in enumerate(pairs):
        for operator in OPERATORS:
            name = f"{operator}{number}"
            # Both by reference and as constants: what is known when compiling must not count for more.
            second = {"valueType": "immediate", "value": right} if number % 2 else reference(f"data.pairs[{number}][1]")
            arguments = reference(f"data.pairs[{number}][0]"), second
            config = {"value": {"valueType": "composite", "value": [{"valueType": "immediate", "value": 1}]}}
            condition = conditional(operator, *arguments)
            steps[name] = {"stepType": "Filter", "config": {**config, "condition": condition}}
            outputs[name] = reference(f"steps.{name}.outputs.count")
    names = list(steps)
    steps["end"] = {"stepType": "Finish", "inputMapping": outputs}
    chain = [*names, "end"]
    plan = [{"fromStep": one, "toStep": other} for one, other in zip(chain, chain[1:], strict=False)]  # noqa: RUF007
    document = {"entryPoint": names[0], "steps": steps, "executionPlan": plan}
    found = outcome_of(document, {"pairs": [list(pair) for pair in pairs]})
    assert found.error is None
    for number, (left, right) in enumerate(pairs):
        for operator in OPERATORS:
            expected = model_of(operator, left, right)
            assert found.output[f"{operator}{number}"] == int(expected), (operator, left, right)


def reference(path: str, **hints: Any) -> dict[str, Any]:
    return {"valueType": "reference", "value": path, **hints}


# Paths and type hints

keys = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=4).filter(
    lambda key: "']" not in key and '"]' not in key
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)


def leaves(tree: Any, path: str, found: list[tuple[str, Any]]) -> None:
    found.append((path, tree))
    if isinstance(tree, dict):
        for key, value in tree.items():
            quote = '"' if "'" in key else "'"
            leaves(value, f"{path}[{quote}{key}{quote}]", found)
    elif isinstance(tree, list):
        for position, value in enumerate(tree):
            leaves(value, f"{path}[{position}]", found)


@given(trees)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_path_reads_what_it_names(tree: Any) -> None:
    found: list[tuple[str, Any]] = []
    leaves(tree, "data.tree", found)
    mapping = {f"o{number}": reference(path) for number, (path, _) in enumerate(found)}
    mapping["missing"] = reference("data.none.at.all")
    document = {"entryPoint": "end", "steps": {"end": {"stepType": "Finish", "inputMapping": mapping}}}
    outcome = outcome_of(document, {"tree": tree})
    assert outcome.error is None
    expected = {f"o{number}": value for number, (_, value) in enumerate(found)} | {"missing": None}
    assert json.dumps(outcome.output, sort_keys=True) == json.dumps(expected, sort_keys=True)


def coerced(value: Any, hint: str) -> Any:
    """The model of type hints; raises `ValueError` where the language has none."""
    if value is None or hint == "json":
        return value
    match hint:
        case "string":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        case "boolean":
            return value in ("true", "1") if isinstance(value, str) else truthy(value)
        case "integer":
            if isinstance(value, bool | int):
                return int(value)
            if isinstance(value, float):
                return math.trunc(value)
            if isinstance(value, str) and value.isascii() and value[value[:1] in ("+", "-") :].isdigit():
                return int(value)
        case "number":
            if not isinstance(value, bool) and (number := as_number(value)) is not None:
                is_whole = not isinstance(value, float) and str(value).lstrip("+-").isdigit()
                return int(number) if is_whole and abs(number) > 2**53 else float(number)
    raise ValueError(hint)


@given(values, st.sampled_from(("string", "boolean", "integer", "number", "json")))
@settings(max_examples=EXAMPLES, deadline=None)
def test_type_hints_fit_or_fail(value: Any, hint: str) -> None:
    mapping = {"got": reference("data.v", type=hint)}
    document = {"entryPoint": "end", "steps": {"end": {"stepType": "Finish", "inputMapping": mapping}}}
    outcome = outcome_of(document, {"v": value})
    try:
        expected = coerced(value, hint)
    except ValueError:
        assert outcome.error is not None
        assert outcome.error["code"] == "TYPE_COERCION_ERROR"
        assert "data.v" in outcome.error["message"]
        return
    assert outcome.error is None
    assert json.dumps(outcome.output) == json.dumps({"got": expected})
