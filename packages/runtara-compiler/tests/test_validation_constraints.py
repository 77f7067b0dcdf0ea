"""Constants in agents' inputs: whatever a run would refuse is refused before."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_compiler.validation.constraints import broken_constraint
from runtara_compiler.validation.validator import validate_source
from runtara_sdk.agents import discover_agents


def findings(**inputs: Any) -> list[str]:
    """Codes and messages of a scenario with one HTTP step."""
    metadata = {name: agent.definition.metadata() for name, agent in discover_agents().agents.items()}
    mapping = {name: {"valueType": "immediate", "value": value} for name, value in inputs.items()}
    step = {"stepType": "Agent", "agentId": "http", "capabilityId": "http-request", "inputMapping": mapping}
    scenario = {
        "name": "constants",
        "entryPoint": "call",
        "steps": {"call": step, "end": {"stepType": "Finish"}},
        "executionPlan": [{"fromStep": "call", "toStep": "end"}],
    }
    _, report = validate_source(scenario, metadata, origin="constants.json")
    return [str(error) for error in report.errors]


@pytest.mark.parametrize(
    "url",
    ["ftp://files.example.com/a", "http://", "https:///path", "http://a b/", "mailto:a@b", "http://host\\path", "a\nb"],
)
def test_a_url_that_cannot_be_requested(url: str) -> None:
    (error,) = findings(url=url)
    assert "[E023]" in error
    assert "'url'" in error


@pytest.mark.parametrize("url", ["https://api.example.com", "HTTP://[::1]:8080/a?b=c#d", "/orders/1", "orders?id=7:8"])
def test_a_url_that_can(url: str) -> None:
    assert findings(url=url) == []


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"timeout_ms": 0}, "must not be less than 1; found integer 0"),
        ({"timeoutMs": 10**12}, "must not be greater than 86400000"),
        ({"max_response_bytes": -1}, "must not be less than 0"),
    ],
)
def test_limits_of_numbers(inputs: dict[str, Any], told: str) -> None:
    (error,) = findings(url="https://api.example.com", **inputs)
    assert told in error


@pytest.mark.parametrize(
    ("value", "constraints", "told"),
    [
        (3, {"exclusiveMinimum": 3}, "must be greater than 3"),
        (3.5, {"exclusiveMaximum": 3}, "must be less than 3"),
        ("", {"minLength": 1}, "must have at least 1 characters"),
        ("\N{GRINNING FACE}\N{GRINNING FACE}", {"maxLength": 1}, "must have at most 1 characters"),
        ([], {"minItems": 1}, "must have at least 1 elements"),
        ([1, 2], {"maxItems": 1}, "must have at most 1 elements"),
        ("b", {"pattern": "^a$"}, "does not match ^a$"),
        ("b", {"pattern": "("}, None),
        (True, {"maximum": 0}, None),
        ("9", {"maximum": 0}, None),
        ({}, {"minItems": 1}, None),
        (1, {}, None),
    ],
)
def test_constraints(value: Any, constraints: dict[str, Any], told: str | None) -> None:
    assert broken_constraint(value, constraints) == told
