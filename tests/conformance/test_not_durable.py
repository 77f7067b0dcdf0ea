"""`durable: false`: the same results and failures, and nothing is recorded."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_compiler.compilation import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.testing.trial_world import Answer

HOUR_MS = 3_600_000
BUSY = Answer(error={"code": "BUSY", "message": "busy", "category": "transient"})
BROKEN = Answer(error={"code": "BROKEN", "message": "broken", "category": "permanent"})


def immediate(value: Any) -> dict[str, Any]:
    return {"valueType": "immediate", "value": value}


def reference(path: str) -> dict[str, Any]:
    return {"valueType": "reference", "value": path}


def call(**fields: Any) -> dict[str, Any]:
    mapping = {"url": immediate("https://api.example.com")}
    return {"stepType": "Agent", "agentId": "http", "capabilityId": "http-request", "inputMapping": mapping} | fields


GRAPH: dict[str, Any] = {
    "name": "no records",
    "entryPoint": "call",
    "steps": {
        "call": call(maxRetries=2, retryDelay=1000),
        "rest": {"stepType": "Delay", "durationMs": immediate(3 * HOUR_MS)},
        "each": {
            "stepType": "Split",
            "config": {"value": immediate([1, 2, 3])},
            "subgraph": {
                "entryPoint": "inner",
                "steps": {
                    "inner": call(),
                    "end": {"stepType": "Finish", "inputMapping": {"got": reference("steps.inner.outputs")}},
                },
                "executionPlan": [{"fromStep": "inner", "toStep": "end"}],
            },
        },
        "end": {
            "stepType": "Finish",
            "inputMapping": {"first": reference("steps.call.outputs"), "all": reference("steps.each.outputs")},
        },
    },
    "executionPlan": [
        {"fromStep": "call", "toStep": "rest"},
        {"fromStep": "rest", "toStep": "each"},
        {"fromStep": "each", "toStep": "end"},
    ],
}
ANSWERS = {"call": [BUSY, BUSY, Answer("done")], "inner": [Answer("a"), Answer("b"), Answer("c")]}
RESULT = {"first": "done", "all": [{"got": "a"}, {"got": "b"}, {"got": "c"}]}


async def outcome_of(document: dict[str, Any], **trial: Any) -> TrialOutcome:
    compilation = CompilationInput("trial", "unrecorded", 1, document)
    return await try_workflow(load_workflow(compilation), Trial(**trial))


@pytest.mark.parametrize("place", ["scenario", "graph"])
async def test_a_scenario_without_records_stays_in_its_process(place: str) -> None:
    document = {"executionGraph": GRAPH, "durable": False} if place == "scenario" else GRAPH | {"durable": False}
    durable = await outcome_of(GRAPH, capabilities=ANSWERS)
    found = await outcome_of(document, capabilities=ANSWERS)
    assert found.output == durable.output == RESULT
    assert (found.launches, durable.launches) == (1, 2)
    # The waits are the same: an hour-long one, and those before the attempts.
    assert found.passed_ms == durable.passed_ms == 3 * HOUR_MS + 3000
    assert found.store_calls == 1, "its end alone"


async def test_a_run_that_is_killed_begins_anew() -> None:
    document = GRAPH | {"durable": False}
    killed = await outcome_of(document, capabilities=ANSWERS, kill=KillPoint(1, after=False))
    assert (killed.status, killed.output, killed.launches) == (InstanceStatus.COMPLETED, RESULT, 2)
    assert killed.repeated_calls == 6


async def test_one_step_or_the_steps_of_one_body_may_do_without_records() -> None:
    recorded = (await outcome_of(GRAPH, capabilities=ANSWERS)).store_calls
    step = {**GRAPH, "steps": {**GRAPH["steps"], "call": {**GRAPH["steps"]["call"], "durable": False}}}
    found = await outcome_of(step, capabilities=ANSWERS)
    assert found.output == RESULT
    assert found.store_calls == recorded - 3, "two attempts and a result"

    each = GRAPH["steps"]["each"]
    body = {**each, "subgraph": {**each["subgraph"], "durable": False}}
    found = await outcome_of({**GRAPH, "steps": {**GRAPH["steps"], "each": body}}, capabilities=ANSWERS)
    assert found.output == RESULT
    assert found.store_calls == recorded - 3, "three results; that of the Split is recorded"


async def test_failures_go_to_their_handlers() -> None:
    document = {
        "entryPoint": "call",
        "durable": False,
        "steps": {
            "call": call(),
            "sorry": {"stepType": "Finish", "inputMapping": {"code": reference("__error.code")}},
            "end": {"stepType": "Finish"},
        },
        "executionPlan": [
            {"fromStep": "call", "toStep": "end"},
            {"fromStep": "call", "toStep": "sorry", "label": "onError"},
        ],
    }
    found = await outcome_of(document, capabilities={"call": [BROKEN]})
    assert (found.output, found.store_calls) == ({"code": "BROKEN"}, 1)


async def test_attempts_are_counted_in_the_error() -> None:
    document = {"entryPoint": "call", "steps": {"call": call(durable=False, maxRetries=1)}}
    found = await outcome_of(document, capabilities={"call": [BUSY]})
    assert found.error is not None
    assert (found.error["code"], found.error["attempts"]) == ("BUSY", 2)


async def test_the_budget_for_rate_limits_is_that_of_the_scenario() -> None:
    limited = Answer(
        error={"code": "RATE_LIMITED", "message": "slow down", "category": "transient", "retryAfterMs": 4000}
    )
    document = {"entryPoint": "call", "steps": {"call": call(maxRetries=0)}}
    answers = {"call": [limited, limited, Answer("done")]}
    patient = await outcome_of(document | {"rateLimitBudgetMs": 8000}, capabilities=answers)
    assert (patient.status, patient.passed_ms) == (InstanceStatus.COMPLETED, 8000)
    hasty = await outcome_of(document | {"rateLimitBudgetMs": 7000}, capabilities=answers)
    assert (hasty.status, hasty.passed_ms) == (InstanceStatus.FAILED, 4000)
