"""Every scenario of the corpus has the outcome that is written beside it."""

from __future__ import annotations

import pytest
from runtara_compiler.trials import Case, run_case

from tests.conformance.scenario_corpus import CorpusScenario, corpus

ALL = [
    pytest.param(scenario, case, id=f"{scenario.topic}: {scenario.name}: {case.name}")
    for scenario in corpus()
    for case in scenario.cases
]


@pytest.mark.parametrize(("scenario", "case"), ALL)
async def test_a_scenario_has_its_outcome(scenario: CorpusScenario, case: Case) -> None:
    result = await run_case(scenario.workflow, case)
    assert result.differences == ()


def test_the_corpus_is_large() -> None:
    assert len(ALL) >= 200
