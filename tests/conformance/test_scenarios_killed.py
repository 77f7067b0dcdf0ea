"""Every scenario of the corpus ends the same wherever its program dies.

The program dies in the process of the test, so thousands of deaths take seconds. Of each topic one scenario is run in
processes of its own, too, which SIGKILL ends, as `runtara verify` does it.
"""

from __future__ import annotations

import pytest
from runtara_compiler.compilation import generate_source
from runtara_compiler.trials.verification import verify_program, verify_workflow
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.testing.program_process import ProgramProcesses
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_program, try_workflow

from tests.conformance.scenario_corpus import CorpusScenario, corpus

SCENARIOS = [pytest.param(scenario, id=f"{scenario.topic}: {scenario.name}") for scenario in corpus()]


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_death_anywhere_changes_nothing(scenario: CorpusScenario) -> None:
    for case in scenario.cases[:3]:
        verification = await verify_workflow(scenario.workflow, case.trial())
        assert verification.holds, [case.name, *(result for result in verification.results if result.changed)]
        assert all(result.repeated <= breadth(scenario) for result in verification.results)


ONE_OF_EACH_TOPIC = {scenario.topic: scenario for scenario in reversed(corpus())}


@pytest.mark.parametrize("topic", ONE_OF_EACH_TOPIC)
async def test_sigkill_anywhere_changes_nothing(topic: str) -> None:
    scenario = ONE_OF_EACH_TOPIC[topic]
    trial = scenario.cases[0].trial()
    async with ProgramProcesses(generate_source(scenario.compilation), topic) as processes:

        async def run(trial: Trial) -> TrialOutcome:
            return await try_program(processes, trial, clock=processes.clock())

        assert await run(trial) == await try_workflow(scenario.workflow, trial)
        verification = await verify_program(run, trial)
    assert verification.holds, [result for result in verification.results if result.changed]


async def test_a_process_that_crashes_is_told() -> None:
    async with ProgramProcesses("workflow = None", "nothing") as processes:
        with pytest.raises(InvalidInputError, match="the program crashed: AttributeError"):
            await try_program(processes, Trial(), clock=processes.clock())
    with pytest.raises(InvalidInputError, match="could not be loaded"):
        async with ProgramProcesses("import no_such_module_anywhere", "nothing"):
            pass


def breadth(scenario: CorpusScenario) -> int:
    """How many calls may be under way at once."""
    return max([1, *(step.get("config", {}).get("parallelism", 0) for step in scenario.document["steps"].values())])


DYING = """
import os
from runtara_sdk.workflow import Workflow

async def graph(run):
    os._exit(7)

workflow = Workflow(id="dying", version=1, graph=graph)
"""


async def test_a_program_that_dies_again_and_again_is_given_up() -> None:
    async with ProgramProcesses(DYING, "dying") as processes:
        with pytest.raises(InvalidInputError, match="ended 5 times in a row"):
            await try_program(processes, Trial(), clock=processes.clock())
