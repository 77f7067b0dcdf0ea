"""Worked examples of capabilities: the step that a scenario would have, and what it gives when it is run.

Pages and the tests of pages share this module, so what is shown is what is run.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtara_compiler import CompilationInput
from runtara_compiler.trials.running import load_workflow
from runtara_sdk.agents import Capability, Example
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.trial import Trial, try_workflow


@dataclass(frozen=True, slots=True)
class WorkedStep:
    """An Agent step, what its workspace holds, and what is done before it.

    Attributes:
        step: as a scenario holds it.
        files: text files of the workspace, by path.
        before: steps that are done first, after the files are written.
    """

    step: Mapping[str, Any]
    files: Mapping[str, str]
    before: Sequence[Mapping[str, Any]] = ()


def worked_step(agent_id: str, capability: Capability, example: Example) -> WorkedStep:
    """The step that makes the call of an example, as a scenario holds it."""
    step = {
        "id": capability.id,
        "stepType": "Agent",
        "agentId": agent_id,
        "capabilityId": capability.id,
        **({"connectionId": f"my-{example.connection}"} if example.connection else {}),
        "inputMapping": {name: {"valueType": "immediate", "value": value} for name, value in example.inputs.items()},
    }
    return WorkedStep(step, example.files)


def scenario_of(worked: Sequence[WorkedStep]) -> dict[str, Any]:
    """A scenario that runs one of the steps: that whose position is the input `{"run": position}`.

    A Switch leads to the branch of the step: steps that write its files, the step itself, and a Finish with its
    outputs. One scenario for all is compiled once.
    """
    cases = [{"matchType": "EQ", "match": at, "output": at, "route": f"run-{at}"} for at in range(len(worked))]
    choose = {
        "id": "choose",
        "stepType": "Switch",
        "config": {"value": {"valueType": "reference", "value": "data.run"}, "cases": cases, "default": None},
    }
    steps: dict[str, Any] = {"choose": choose}
    edges: list[dict[str, Any]] = []
    for at, each in enumerate(worked):
        branch = [dict(step) for step in _branch(at, each)]
        steps |= {step["id"]: step for step in branch}
        edges.append({"fromStep": "choose", "toStep": branch[0]["id"], "label": f"run-{at}"})
        edges += [{"fromStep": before["id"], "toStep": after["id"]} for before, after in itertools.pairwise(branch)]
    return {"name": "Worked examples", "steps": steps, "entryPoint": "choose", "executionPlan": edges}


async def run_steps(
    worked: Sequence[WorkedStep], connections: Mapping[str, Mapping[str, Any]] | None = None
) -> list[Any]:
    """Run each step, in an instance and with a workspace of its own; gives their outputs in order.

    Args:
        worked: the steps.
        connections: `{integration_id, parameters}` by id.

    Raises `RuntimeError` when one does not complete.
    """
    document = json.dumps(scenario_of(worked))
    workflow = load_workflow(CompilationInput("docs", "worked-examples", 1, document))
    outputs = []
    for at, each in enumerate(worked):
        outcome = await try_workflow(workflow, Trial(data={"run": at}, connections=connections or {}))
        if outcome.status is not InstanceStatus.COMPLETED:
            name = f"{each.step['agentId']} {each.step['capabilityId']}"
            raise RuntimeError(f"the example of {name} ended as {outcome.status.value}: {outcome.error}")
        outputs.append(outcome.output)
    return outputs


def shape_of(value: Any) -> Any:
    """What two results of a call have in common that gives another one each time: keys, types, lengths of lists."""
    if isinstance(value, dict):
        return {name: shape_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape_of(item) for item in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _branch(at: int, worked: WorkedStep) -> Iterable[Mapping[str, Any]]:
    for number, (path, text) in enumerate(worked.files.items()):
        yield {
            "id": f"write-{at}-{number}",
            "stepType": "Agent",
            "agentId": "file",
            "capabilityId": "file-write-file",
            "inputMapping": {
                "path": {"valueType": "immediate", "value": path},
                "data": {"valueType": "immediate", "value": text},
            },
        }
    for number, step in enumerate(worked.before):
        yield {**step, "id": f"before-{at}-{number}"}
    yield {**worked.step, "id": f"example-{at}"}
    yield {
        "id": f"finish-{at}",
        "stepType": "Finish",
        "inputMapping": {"outputs": {"valueType": "reference", "value": f"steps.example-{at}.outputs"}},
    }
