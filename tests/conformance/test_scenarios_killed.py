"""Every scenario of the corpus, killed before and after every call of the store in turn, ends as if undisturbed.

The program dies in the process of the test, so thousands of deaths take seconds; `tests/crash` kills real processes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import TrialOutcome, try_workflow

from tests.conformance.scenario_corpus import CorpusScenario, corpus

MAXIMUM_POINTS = 24
"""Of one case; of more, as many are taken at equal distances."""

SCENARIOS = [pytest.param(scenario, id=f"{scenario.topic}: {scenario.name}") for scenario in corpus()]


def told(outcome: TrialOutcome) -> set[str]:
    """What the events say; a log line may be told again by a program that starts anew."""
    return {json.dumps({**event, "timestamp_ms": 0}, sort_keys=True) for event in outcome.events}


def end(outcome: TrialOutcome) -> tuple[Any, ...]:
    error = None if outcome.error is None else {**outcome.error, "attempts": 0}
    return outcome.status, outcome.output, error, outcome.passed_ms


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_kill_anywhere_changes_nothing(scenario: CorpusScenario) -> None:
    for case in scenario.cases[:3]:
        trial = case.trial()
        undisturbed = await try_workflow(scenario.workflow, trial)
        points = [KillPoint(call, after) for call in range(1, undisturbed.store_calls + 1) for after in (False, True)]
        for point in points[:: max(1, len(points) // MAXIMUM_POINTS)]:
            killed = await try_workflow(scenario.workflow, replace(trial, kill=point))
            where = f"{case.name}: killed {'after' if point.after else 'before'} call {point.call}"
            assert end(killed) == end(undisturbed), where
            assert told(killed) == told(undisturbed), where
            assert killed.calls == undisturbed.calls, where
            assert killed.repeated_calls <= scenario_breadth(scenario), where


def scenario_breadth(scenario: CorpusScenario) -> int:
    """How many calls may be under way at once."""
    return max([1, *(step.get("config", {}).get("parallelism", 0) for step in scenario.document["steps"].values())])
