"""The published JSON Schema accepts what the loader accepts, and refuses what it refuses, but for its own table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from runtara_compiler.language import ScenarioError, load_scenario

from tests.conformance.scenario_corpus import corpus

REPOSITORY = Path(__file__).parents[2]
OLD_NAMES = {"operatorId", "operationId"}
FINISH = {"stepType": "Finish"}
BODY = {"steps": {"f": FINISH}}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads((REPOSITORY / "docs" / "scenario.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def documents() -> Iterator[tuple[str, Any]]:
    for scenario in corpus():
        yield f"{scenario.topic}: {scenario.name}", scenario.document
        for name, child in scenario.children.items():
            yield f"{scenario.topic}: {scenario.name}: {name}", child
    for path in (REPOSITORY / "examples").glob("*processing.json"):
        yield path.name, json.loads(path.read_bytes())


def test_every_document_that_compiles_is_accepted(validator: Any) -> None:
    for name, document in documents():
        if OLD_NAMES & set(json.dumps(document).split('"')):
            continue
        error = jsonschema.exceptions.best_match(validator.iter_errors(document))
        assert error is None, f"{name}: {error.json_path}: {error.message}"


def with_step(step: dict[str, Any]) -> dict[str, Any]:
    return {"steps": {"a": step, "f": FINISH}, "executionPlan": [{"fromStep": "a", "toStep": "f"}]}


REFUSED = [
    {},
    {"steps": {}, "surplus": 1},
    {"steps": {"f": {}}},
    {"steps": {"f": {"stepType": "Finsh"}}},
    {"steps": {"f": {**FINISH, "inputMaping": {}}}},
    {"executionGraph": {"steps": {"f": FINISH}}, "debugMode": "yes"},
    {"executionGraph": {"steps": {"f": FINISH}}, "memoryTier": "XXL"},
    {"steps": {"f": FINISH}, "inputSchema": {"a": {"type": "text"}}},
    {"steps": {"f": FINISH}, "executionPlan": [{"fromStep": "f"}]},
    {"steps": {"f": FINISH}, "executionPlan": [{"fromStep": "f", "toStep": "f", "priority": 1.5}]},
    with_step({"stepType": "Log"}),
    with_step({"stepType": "Log", "message": 5}),
    with_step({"stepType": "Log", "message": "x", "level": "loud"}),
    with_step({"stepType": "Log", "message": "x", "context": {"a": 5}}),
    with_step({"stepType": "Log", "message": "x", "context": {"a": {"valueType": "refrence", "value": "data"}}}),
    with_step({"stepType": "Log", "message": "x", "context": {"a": {"valueType": "template", "value": 5}}}),
    with_step({"stepType": "Log", "message": "x", "context": {"a": {"valueType": "composite", "value": {"b": 1}}}}),
    with_step({"stepType": "Agent", "agentId": "http"}),
    with_step({"stepType": "Agent", "agentId": "http", "capabilityId": "x", "maxRetries": -1}),
    with_step({"stepType": "Agent", "agentId": "http", "capabilityId": "x", "durable": "no"}),
    with_step({"stepType": "Delay", "durationMs": 5}),
    with_step({"stepType": "Split", "config": {}, "subgraph": {"steps": {"f": FINISH}}}),
    with_step({"stepType": "Split", "config": {"value": {"valueType": "reference", "value": "data"}}}),
    with_step({"stepType": "While", "condition": {"type": "operation", "op": "LIKE"}, "subgraph": BODY}),
    with_step({"stepType": "StartScenario", "childVersion": 1}),
    with_step(
        {"stepType": "Switch", "config": {"value": {"valueType": "immediate", "value": 1}, "cases": [{"match": 1}]}}
    ),
    with_step({"stepType": "Error", "code": "X", "message": "m", "category": "business"}),
    with_step({"stepType": "AiAgent"}),
]


@pytest.mark.parametrize("document", REFUSED, ids=[str(index) for index in range(len(REFUSED))])
def test_what_the_loader_refuses_is_refused(validator: Any, document: dict[str, Any]) -> None:
    with pytest.raises(ScenarioError):
        load_scenario(document, origin="document")
    assert not validator.is_valid(document)


def test_a_document_may_name_its_schema(validator: Any) -> None:
    document = {"$schema": "docs/scenario.schema.json", "steps": {"f": FINISH}}
    load_scenario(document, origin="document")
    assert validator.is_valid(document)
