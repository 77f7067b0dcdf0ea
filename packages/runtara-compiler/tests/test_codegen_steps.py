"""Code for every step type: bodies and children readable, and text from a scenario never code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from runtara_compiler.closure import ChildSource, resolve_children
from runtara_compiler.codegen import ModuleIdentity, generate_module
from runtara_compiler.codegen.expressions import LINE_WIDTH
from runtara_compiler.language import load_scenario
from runtara_compiler.language.step_types import STEP_MODELS
from runtara_compiler.language.walk import all_steps
from runtara_compiler.targets import AgentPin

SNAPSHOTS = Path(__file__).parent / "snapshots"
PINS = {"http": AgentPin("http", "runtara_agents_http", "http_agent")}
HOSTILE = [
    '"""\nimport os; os.abort()\n"""',
    "'''\nraise SystemExit(1)\n'''",
    "\\",
    "{{ 7 * 7 }}",
    "__import__('os').abort()",
    "a\nb\r\u2028",
    "\u202e工作 🚀",
    "run",
    "body",
    "# comment",
]


def ref(path: str, **more: Any) -> dict[str, Any]:
    return {"valueType": "reference", "value": path, **more}


def literal(value: Any) -> dict[str, Any]:
    return {"valueType": "immediate", "value": value}


def every_step(text: str, *, agent: str = "http") -> dict[str, Any]:
    """A graph with every step type, and `text` in every field that takes one."""
    value = {text: {"valueType": "composite", "value": {text: literal({text: [text]}), "t": template(text)}}}
    holds = {"type": "operation", "op": "EQ", "arguments": [ref("data.x", default=text), literal(text)]}
    body = {
        "name": text,
        "variables": {text: {"type": "string", "value": text}},
        "steps": {text: {"stepType": "Finish"}},
    }
    schema = {text: {"type": "string", "default": text, "enum": [text], "description": text, "label": text}}
    steps: dict[str, Any] = {
        "agent": {
            "stepType": "Agent",
            "agentId": agent,
            "capabilityId": text,
            "inputMapping": value,
            "connectionId": text,
        },
        "conditional": {"stepType": "Conditional", "condition": holds},
        "connection": {"stepType": "Connection", "connectionId": text, "integrationId": text},
        "delay": {"stepType": "Delay", "durationMs": ref("data.ms", default=text)},
        "error": {"stepType": "Error", "code": text, "message": text, "context": value},
        "filter": {"stepType": "Filter", "config": {"value": literal([text]), "condition": holds}},
        "finish": {"stepType": "Finish", "inputMapping": value},
        "group": {"stepType": "GroupBy", "config": {"value": literal([]), "key": text, "expectedKeys": [text]}},
        "log": {"stepType": "Log", "message": text, "context": value},
        "split": {
            "stepType": "Split",
            "config": {"value": literal([text]), "variables": value, "parallelism": 2},
            "subgraph": body,
            "inputSchema": schema,
            "outputSchema": schema,
        },
        "start": {
            "stepType": "StartScenario",
            "childScenarioId": "child",
            "childVersion": "latest",
            "inputMapping": value,
        },
        "switch": {
            "stepType": "Switch",
            "config": {
                "value": literal(text),
                "cases": [{"matchType": "EQ", "match": {text: text}, "output": {text: template(text)}, "route": text}],
                "default": [text],
            },
        },
        "wait": {"stepType": "WaitForSignal", "onWait": body, "responseSchema": schema, "timeoutMs": literal(5)},
        "while": {"stepType": "While", "condition": holds, "subgraph": body, "config": {"variables": value}},
    }
    order = [name for name in steps if name not in ("error", "finish")]
    plan = [{"fromStep": a, "toStep": b} for a, b in zip(order, [*order[1:], "finish"], strict=True)]
    plan[1]["label"] = "true"
    plan.append({"fromStep": "agent", "toStep": "error", "label": "onError", "condition": holds, "priority": 3})
    plan.append({"fromStep": "switch", "toStep": "error", "label": text})
    for step in steps.values():
        step["name"] = text
    return {
        "name": text,
        "entryPoint": "agent",
        "inputSchema": schema,
        "variables": body["variables"],
        "steps": steps,
        "executionPlan": plan,
    }


def template(text: str) -> dict[str, Any]:
    return {"valueType": "template", "value": text}


def generate(document: dict[str, Any], children: dict[str, Any]) -> str:
    scenario = load_scenario(document, origin="test")
    sources = [ChildSource(name, child) for name, child in children.items()]
    closure = resolve_children(scenario, sources, root_key=("root", 1))
    identity = ModuleIdentity("every-step", 1, "0.1.0")
    return generate_module(scenario.execution_graph, identity, PINS, closure.children).source


def test_the_document_of_these_tests_has_every_step_type() -> None:
    graph = load_scenario(every_step("x"), origin="test").execution_graph
    assert {type(step) for step in all_steps(graph)} == set(STEP_MODELS.values())


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_from_any_field_becomes_code(text: str) -> None:
    harmless = ast.parse(generate(every_step("harmless"), {"child": {"steps": {"harmless": {"stepType": "Finish"}}}}))
    module = ast.parse(generate(every_step(text), {"child": {"steps": {text: {"stepType": "Finish"}}}}))
    assert shape(module) == shape(harmless)
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    assert all(name.isascii() for name in names)
    exec(compile(module, "generated", "exec"), {"__name__": "generated"})


def shape(module: ast.Module) -> list[str]:
    """The kinds of nodes, in order: what the module does, whatever its texts and names are."""
    return [type(node).__name__ for node in ast.walk(module)]


ORDERS: dict[str, Any] = {
    "name": "Ship the orders of a day",
    "inputSchema": {"orders": {"type": "array", "required": True}},
    "steps": {
        "each order": {
            "stepType": "Split",
            "config": {"value": ref("data.orders"), "parallelism": 4, "timeout": 60_000},
            "subgraph": {
                "steps": {
                    "ship": {
                        "stepType": "Agent",
                        "agentId": "http",
                        "capabilityId": "request",
                        "inputMapping": {"url": template("https://example.com/orders/{{ item.id }}/ship")},
                    },
                    "failed": {
                        "stepType": "Log",
                        "message": "not shipped",
                        "context": {"code": ref("steps.__error.code")},
                    },
                    "finish": {"stepType": "Finish", "inputMapping": {"shipped": ref("steps.ship.outputs.success")}},
                },
                "entryPoint": "ship",
                "executionPlan": [
                    {"fromStep": "ship", "toStep": "finish"},
                    {"fromStep": "ship", "toStep": "failed", "label": "onError"},
                    {"fromStep": "failed", "toStep": "finish"},
                ],
            },
        },
        "until the truck is there": {
            "stepType": "While",
            "condition": {
                "type": "operation",
                "op": "NOT",
                "arguments": [{"type": "value", **ref("loop.outputs.arrived")}],
            },
            "config": {"maxIterations": 48},
            "subgraph": {
                "steps": {
                    "half an hour": {"stepType": "Delay", "durationMs": literal(1_800_000)},
                    "look": {"stepType": "Finish", "inputMapping": {"arrived": literal(True)}},
                },
                "executionPlan": [{"fromStep": "half an hour", "toStep": "look"}],
            },
        },
        "bill": {
            "stepType": "StartScenario",
            "childScenarioId": "billing",
            "childVersion": 2,
            "inputMapping": {"count": literal(1)},
        },
        "finish": {"stepType": "Finish", "inputMapping": {"bill": ref("steps.bill.outputs")}},
    },
    "executionPlan": [
        {"fromStep": "each order", "toStep": "until the truck is there"},
        {"fromStep": "until the truck is there", "toStep": "bill"},
        {"fromStep": "bill", "toStep": "finish"},
    ],
}
BILLING: dict[str, Any] = {
    "inputSchema": {"count": {"type": "integer", "required": True}},
    "variables": {"price": {"type": "number", "value": 9.5}},
    "steps": {"finish": {"stepType": "Finish", "inputMapping": {"price": ref("variables.price")}}},
}


def test_bodies_and_children_are_fit_to_read() -> None:
    """Delete the snapshot and run the test to accept a change of the generated code."""
    source, snapshot = generate(ORDERS, {"billing": BILLING}), SNAPSHOTS / "orders.py.txt"
    if not snapshot.exists():
        snapshot.write_text(source, encoding="utf-8")
    assert source == snapshot.read_text(encoding="utf-8")
    assert max(map(len, source.splitlines())) <= LINE_WIDTH
