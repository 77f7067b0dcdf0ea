"""Generated modules: stable, readable, correct, and deaf to code in scenarios."""

from __future__ import annotations

import ast
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_compiler.codegen import ModuleIdentity, generate_module
from runtara_compiler.codegen.expressions import LINE_WIDTH, Literal, quote, render
from runtara_compiler.codegen.identifiers import Identifiers, snake_case
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.targets import AgentPin
from runtara_sdk.workflow import Step, decode_json

SNAPSHOTS = Path(__file__).parent / "snapshots"
IDENTITY = ModuleIdentity("order-processing", 3, "0.1.0")
PINS = {
    "http": AgentPin("http", "runtara_agents_http", "http"),
    "transform": AgentPin("transform", "runtara_agents_transform", "transform"),
}

APPROVAL: dict[str, Any] = {
    "name": "Approve an order",
    "entryPoint": "check total",
    "variables": {"limit": {"type": "number", "value": 100.5}, "tags": {"type": "array", "value": ["a", None]}},
    "steps": {
        "check total": {
            "stepType": "Conditional",
            "condition": {
                "type": "operation",
                "op": "AND",
                "arguments": [
                    {
                        "type": "operation",
                        "op": "GT",
                        "arguments": [
                            {"valueType": "reference", "value": "data.total", "type": "number", "default": 0},
                            {"valueType": "reference", "value": "variables.limit"},
                        ],
                    },
                    {"type": "value", "valueType": "reference", "value": "data.review"},
                ],
            },
        },
        "ask": {
            "stepType": "Agent",
            "name": "Ask a person",
            "agentId": "http",
            "capabilityId": "request",
            "maxRetries": 5,
            "retryDelay": 250,
            "inputMapping": {
                "url": {"valueType": "immediate", "value": "https://example.com/approvals"},
                "method": {"valueType": "immediate", "value": "POST"},
                "body.order": {"valueType": "reference", "value": "data.order"},
                "body.tags": {"valueType": "reference", "value": "variables.tags"},
            },
        },
        "wait": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 60000}},
        "note": {
            "stepType": "Log",
            "level": "warn",
            "message": "approved without a review",
            "context": {"total": {"valueType": "reference", "value": "data.total"}},
        },
        "finish": {
            "stepType": "Finish",
            "inputMapping": {"approved": {"valueType": "reference", "value": "steps.ask.outputs.body"}},
        },
    },
    "executionPlan": [
        {"fromStep": "check total", "toStep": "ask", "label": "true"},
        {"fromStep": "check total", "toStep": "note", "label": "false"},
        {"fromStep": "ask", "toStep": "wait"},
        {"fromStep": "wait", "toStep": "finish"},
        {"fromStep": "note", "toStep": "finish"},
    ],
}


def generate(document: dict[str, Any], identity: ModuleIdentity = IDENTITY) -> str:
    scenario = load_scenario(document, origin="test")
    used = {step.get("agentId") for step in document["steps"].values()} & PINS.keys()
    return generate_module(scenario.execution_graph, identity, {name: PINS[name] for name in used}).source


def test_snapshot() -> None:
    """Delete the snapshot and run the test to accept a change of the generated code."""
    source, snapshot = generate(APPROVAL), SNAPSHOTS / "approval.py.txt"
    if not snapshot.exists():
        snapshot.write_text(source, encoding="utf-8")
    assert source == snapshot.read_text(encoding="utf-8")


def test_same_input_same_text_in_any_process() -> None:
    program = (
        "import json, sys; from runtara_compiler.codegen import *; "
        "from runtara_compiler.language.loader import load_scenario; from runtara_compiler.targets import AgentPin; "
        "graph = load_scenario(json.load(sys.stdin), origin='x').execution_graph; "
        "pins = {'http': AgentPin('http', 'runtara_agents_http', 'http')}; "
        "sys.stdout.write(generate_module(graph, ModuleIdentity('order-processing', 3, '0.1.0'), pins).source)"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(APPROVAL),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        )
        assert done.stdout == generate(APPROVAL)


def test_layout_is_fit_to_read() -> None:
    source = generate(APPROVAL)
    assert max(map(len, source.splitlines())) <= LINE_WIDTH
    assert not any(line != line.rstrip() for line in source.splitlines())
    assert source.endswith("main(workflow)\n")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(JSON_VALUES, st.integers(0, 3), st.integers(0, 90))
def test_literals_mean_what_they_were(value: Any, indent: int, before: int) -> None:
    parsed = ast.literal_eval(render(Literal(value), indent=indent, before=before))
    assert json.dumps(parsed) == json.dumps(value)


@given(st.text())
def test_quoted_text_is_one_plain_literal(text: str) -> None:
    quoted = quote(text)
    assert ast.literal_eval(quoted) == text
    assert quoted.isprintable()


def test_deep_literal_is_kept_as_json() -> None:
    value: Any = "x"
    for _ in range(150):
        value = [value]
    text = render(Literal(value))
    assert eval(text, {"decode_json": decode_json}) == value


HOSTILE = [
    '"""\nimport os; os.abort()\n"""',
    "'''\nraise SystemExit(1)\n'''",
    '\\"""\nraise SystemExit(1)#',
    '\\\\"""',
    '"; raise SystemExit(1); "',
    "'); raise SystemExit(1); ('",
    "\\",
    "\\'",
    "{{ 7 * 7 }}{% raw %}",
    "${x} %s {0}",
    "__import__('os').abort()",
    "import",
    "None",
    "run",
    "graph",
    "workflow",
    "print",
    "AgentStep",
    "a\nb",
    "a\r\x0c\u2028\u2029\x85b",
    "\u202e reversed",
    "naïve 工作 🚀",
    "1st",
    "_",
    "__class__",
    "# comment",
    "a" * 200,
    "x\ty",
]


def hostile_document(text: str) -> dict[str, Any]:
    value = {"valueType": "immediate", "value": {text: [text]}}
    other = f"{text} 2"
    return {
        "name": text,
        "entryPoint": text,
        "variables": {text: {"type": "object", "value": {text: text}}},
        "steps": {
            text: {"stepType": "Log", "name": text, "message": text, "context": {text: value}},
            other: {
                "stepType": "Finish",
                "name": other,
                "inputMapping": {text: {**value}, "r": {"valueType": "reference", "value": "data.x", "default": text}},
            },
        },
        "executionPlan": [{"fromStep": text, "toStep": other}],
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_a_scenario_becomes_code(text: str) -> None:
    identity = ModuleIdentity("hostile", 1, "0.1.0")
    harmless = ast.parse(generate(hostile_document("harmless"), identity))
    module = ast.parse(generate(hostile_document(text), identity))
    assert _shape(module) == _shape(harmless)
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    assert all(name.isascii() for name in names)
    namespace: dict[str, Any] = {"__name__": "generated"}
    exec(compile(module, "generated", "exec"), namespace)
    workflow = namespace["workflow"]
    assert workflow.name == text
    assert workflow.variables == {text: {text: text}}
    steps = [value for value in namespace.values() if isinstance(value, Step)]
    assert [step.id for step in steps] == [text, f"{text} 2"]
    assert steps[0].message == text


def _shape(module: ast.Module) -> list[str]:
    """The kinds of nodes, in order: what the module does, whatever it says."""
    return [type(node).__name__ for node in ast.walk(module)]


@given(st.lists(st.text(max_size=12), max_size=30, unique=True))
def test_identifiers_are_unique_and_plain(texts: list[str]) -> None:
    identifiers = Identifiers(frozenset({"run", "graph"}))
    chosen = [identifiers.choose(text, "step") for text in texts]
    assert len(set(chosen)) == len(chosen)
    for name in chosen:
        assert name.isascii()
        assert name.isidentifier()
        assert name not in {"run", "graph", "class", "print"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fetchOrders", "fetch_orders"), ("Check Total!", "check_total"), ("a--b", "a_b"), ("工作", "")],
)
def test_snake_case(text: str, expected: str) -> None:
    assert snake_case(text) == expected


def test_every_step_in_dependency_order_and_guarded_when_optional() -> None:
    source = generate(APPROVAL)
    body = source[source.index("async def graph") : source.index("workflow = ")]
    expected = [
        "await run.do(check_total)",
        "if run.reached(ask):",
        "await run.do(ask)",
        "if run.reached(note):",
        "await run.do(note)",
        "if run.reached(wait):",
        "await run.do(wait)",
        "return await run.finish(finish)",
    ]
    places = [body.index(line) for line in expected]
    assert sorted(places) == places
    assert all(earlier < later for earlier, later in itertools.pairwise(places))


def test_agents_are_imported_under_names_of_their_own() -> None:
    document = {
        "steps": {
            "http": {
                "stepType": "Agent",
                "agentId": "http",
                "capabilityId": "request",
                "inputMapping": {"url": {"valueType": "immediate", "value": "https://example.com"}},
            }
        },
        "entryPoint": "http",
    }
    source = generate(document)
    assert "from runtara_agents_http import http\n" in source
    assert "http_step = AgentStep(\n" in source
    assert "agent=http," in source
    assert "return None" in source
