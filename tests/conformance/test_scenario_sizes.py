"""Large and odd scenarios: many items, many steps, deep bodies, large inputs, names that look like something else."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow

ODD_NAMES = (
    "a.b",
    "a'b",
    'a"b',
    "a[0]",
    "a]['b",
    "{{ 7 * 7 }}",
    "__import__('os').system('true')",
    "'''",
    '"""',
    "\\",
    "\\N{BULLET}",
    "#",
    "\N{GREEK SMALL LETTER ALPHA}\N{GRINNING FACE}",
    "\N{RIGHT-TO-LEFT OVERRIDE}x",
    "a\tb\nc",
    "%s{0}$(id)`id`",
    "class",
    "None",
    " ",
    "0",
    "a::b/c",
)


def immediate(value: Any) -> dict[str, Any]:
    return {"valueType": "immediate", "value": value}


def reference(path: str) -> dict[str, Any]:
    return {"valueType": "reference", "value": path}


def finish(**outputs: Any) -> dict[str, Any]:
    return {"stepType": "Finish", "inputMapping": outputs}


def chain(*steps: str) -> list[dict[str, str]]:
    return [{"fromStep": one, "toStep": other} for one, other in itertools.pairwise(steps)]


async def outcome_of(document: dict[str, Any], data: Any) -> TrialOutcome:
    workflow = load_workflow(CompilationInput("trial", "sized", 1, document))
    return await try_workflow(workflow, Trial(data=data))


def split_of(count: int, parallelism: int) -> dict[str, Any]:
    body = {"entryPoint": "end", "steps": {"end": finish(double=reference("data"))}}
    config = {"value": reference("data.items"), "parallelism": parallelism}
    return {
        "entryPoint": "each",
        "steps": {
            "each": {"stepType": "Split", "config": config, "subgraph": body},
            "end": finish(all=reference("steps.each.outputs")),
        },
        "executionPlan": chain("each", "end"),
    }


@pytest.mark.parametrize("parallelism", [1, 16])
async def test_ten_thousand_items(parallelism: int) -> None:
    found = await outcome_of(split_of(10_000, parallelism), {"items": list(range(10_000))})
    assert found.output == {"all": [{"double": number} for number in range(10_000)]}


async def test_a_thousand_steps() -> None:
    names = [f"step{number}" for number in range(1_000)]
    steps: dict[str, Any] = {
        name: {
            "stepType": "Switch",
            "config": {"value": reference("data.n"), "cases": [], "default": reference(f"steps.{before}.outputs")},
        }
        if before
        else {"stepType": "Switch", "config": {"value": reference("data.n"), "cases": [], "default": immediate(7)}}
        for before, name in zip([None, *names], names, strict=False)
    }
    steps["end"] = finish(last=reference(f"steps.{names[-1]}.outputs"))
    document = {"entryPoint": names[0], "steps": steps, "executionPlan": chain(*names, "end")}
    assert (await outcome_of(document, {"n": 1})).output == {"last": 7}


@pytest.mark.parametrize("step_type", ["Split", "While"])
async def test_bodies_in_bodies_fifty_deep(step_type: str) -> None:
    graph: dict[str, Any] = {"entryPoint": "end", "steps": {"end": finish(outputs=reference("data.deep"))}}
    for _ in range(50):
        inner: dict[str, Any]
        if step_type == "Split":
            inner = {"stepType": "Split", "config": {"value": {"valueType": "composite", "value": [reference("data")]}}}
        else:
            condition = {
                "type": "operation",
                "op": "LT",
                "arguments": [reference("loop.index"), immediate(1)],
            }
            inner = {"stepType": "While", "condition": condition, "config": {"maxIterations": 1}}
        graph = {
            "entryPoint": "in",
            "steps": {"in": {**inner, "subgraph": graph}, "end": finish(outputs=reference("steps.in.outputs"))},
            "executionPlan": chain("in", "end"),
        }
    found = await outcome_of(graph, {"deep": "bottom"})
    assert found.status is InstanceStatus.COMPLETED
    assert json.dumps(found.output).count("bottom") == 1


async def test_ten_megabytes_of_input() -> None:
    text = "x\N{GREEK SMALL LETTER ALPHA}" * 1_000_000
    rows = [{"id": number, "text": "y" * 100} for number in range(60_000)]
    document = {
        "entryPoint": "few",
        "steps": {
            "few": {
                "stepType": "Filter",
                "config": {
                    "value": reference("data.rows"),
                    "condition": {
                        "type": "operation",
                        "op": "LT",
                        "arguments": [reference("item.id"), immediate(2)],
                    },
                },
            },
            "end": finish(text=reference("data.text"), few=reference("steps.few.outputs.count")),
        },
        "executionPlan": chain("few", "end"),
    }
    found = await outcome_of(document, {"text": text, "rows": rows})
    assert found.output == {"text": text, "few": 2}


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_are_names(name: str) -> None:
    """As id of a step, key of an object, name of a variable and of an output."""
    quote = '"' if "']" in name or "'" in name else "'"
    written = f"[{quote}{name}{quote}]"
    document = {
        "name": name,
        "entryPoint": name,
        "variables": {"v": {"type": "string", "value": name}},
        "steps": {
            name: {
                "stepType": "Switch",
                "name": name,
                "config": {"value": immediate(name), "cases": [], "default": immediate({name: {"inner": name}})},
            },
            "end": finish(
                got=reference(f"data{written}"),
                step=reference(f"steps{written}.outputs{written}.inner"),
                variable=reference("variables.v"),
            ),
        },
        "executionPlan": chain(name, "end"),
    }
    found = await outcome_of(document, {name: [name]})
    assert found.error is None
    assert found.output == {"got": [name], "step": name, "variable": name}
