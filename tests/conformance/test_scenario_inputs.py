"""An environment refuses, before a launch, the inputs that the compiled scenario would refuse, in the same words."""

from __future__ import annotations

import json

import pytest
from runtara_compiler.codegen.value_expressions import schema_json
from runtara_compiler.language.loader import load_scenario
from runtara_compiler.trials import Case, run_case
from runtara_environment.inputs.judgement import require_acceptable
from runtara_sdk.errors import InputRefusedError, InvalidInputError
from runtara_sdk.workflow.input_check import INVALID_INPUT

from tests.conformance.scenario_corpus import CorpusScenario, corpus

ALL = [
    pytest.param(scenario, case, id=f"{scenario.topic}: {scenario.name}: {case.name}")
    for scenario in corpus()
    if "inputSchema" in scenario.document
    for case in scenario.cases
]


@pytest.mark.parametrize(("scenario", "case"), ALL)
async def test_a_start_is_refused_where_the_program_would_refuse_it(scenario: CorpusScenario, case: Case) -> None:
    graph = load_scenario(json.dumps(scenario.document), origin=scenario.name).execution_graph
    schema = json.dumps(schema_json(graph.input_schema))
    text = json.dumps({"data": case.input, "variables": case.variables}).encode()
    outcome = (await run_case(scenario.workflow, case)).outcome
    assert outcome is not None
    error = outcome.error
    if error is None or error["code"] != INVALID_INPUT:
        require_acceptable(text, schema)
        return
    with pytest.raises(InvalidInputError) as caught:
        require_acceptable(text, schema)
    assert caught.value.message == error["message"]
    if "violations" in error:
        assert isinstance(caught.value, InputRefusedError)
        assert list(caught.value.violations) == error["violations"]


def test_the_corpus_has_inputs_of_both_kinds() -> None:
    cases = [case for scenario in corpus() if "inputSchema" in scenario.document for case in scenario.cases]
    refused = [case for case in cases if (case.expect.error or {}).get("code") == INVALID_INPUT]
    assert len(ALL) > 10
    assert len(refused) > 5
    assert len(refused) < len(ALL)
