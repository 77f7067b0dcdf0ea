"""Every scenario of the corpus ends the same wherever its program dies.

The program dies in the process of the test, so thousands of deaths take seconds; `tests/crash` kills real processes.
"""

from __future__ import annotations

import pytest
from runtara_compiler.trials.verification import verify_workflow

from tests.conformance.scenario_corpus import CorpusScenario, corpus

SCENARIOS = [pytest.param(scenario, id=f"{scenario.topic}: {scenario.name}") for scenario in corpus()]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_death_anywhere_changes_nothing(scenario: CorpusScenario) -> None:
    for case in scenario.cases[:3]:
        verification = await verify_workflow(scenario.workflow, case.trial())
        assert verification.holds, [case.name, *(result for result in verification.results if result.changed)]
        assert all(result.repeated <= breadth(scenario) for result in verification.results)


def breadth(scenario: CorpusScenario) -> int:
    """How many calls may be under way at once."""
    return max([1, *(step.get("config", {}).get("parallelism", 0) for step in scenario.document["steps"].values())])
