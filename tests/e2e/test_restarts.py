"""An instance that failed goes on once the cause is mended, and forks of it begin before a step."""

from __future__ import annotations

import itertools
import json
import uuid
from typing import Any

import pytest
from runtara_sdk.errors import InvalidInputError, InvalidStateError
from runtara_sdk.models import InstanceStatus

TENANT = "demo"
WAIT_SECONDS = 60

# The storage suite holds the other databases to the same.
pytestmark = pytest.mark.parametrize("daemons", ["sqlite"], indirect=True)


def scenario_of(service: Any) -> dict[str, Any]:
    """A call, a file that is written, another call, and the file read; each is recorded."""

    def call(path: str) -> dict[str, Any]:
        return {
            "stepType": "Agent",
            "agentId": "http",
            "capabilityId": "request",
            "maxRetries": 1,
            "retryDelay": 20,
            "inputMapping": {
                "url": {"valueType": "immediate", "value": f"{service.url}/{path}"},
                "body": {"valueType": "reference", "value": "data.order"},
            },
        }

    def file(capability_id: str, **inputs: str) -> dict[str, Any]:
        mapping = {name: {"valueType": "immediate", "value": value} for name, value in inputs.items()}
        return {"stepType": "Agent", "agentId": "file", "capabilityId": capability_id, "inputMapping": mapping}

    steps = {
        "validate": call("validate"),
        "keep": file("write-file", path="order.txt", data="kept"),
        "notify": call("notify"),
        "read": file("read-file", path="order.txt"),
        "done": {
            "stepType": "Finish",
            "inputMapping": {"file": {"valueType": "reference", "value": "steps.read.outputs"}},
        },
    }
    names = list(steps)
    plan = [{"fromStep": one, "toStep": other} for one, other in itertools.pairwise(names)]
    return {"name": "Restarts", "entryPoint": "validate", "steps": steps, "executionPlan": plan}


async def register(daemons: Any, service: Any, name: str) -> str:
    """Compile the scenario and register it; the id of the image."""
    product = daemons.product
    scenario = product.write(f"{name}.json", scenario_of(service))
    artifact = product.directory / name
    words = ("--workflow", scenario, "--tenant", TENANT, "--scenario", "restarts", "--output", artifact)
    compiled = product.run("runtara-compile", *words)
    assert compiled.exit_code == 0, compiled
    async with daemons.sdk() as sdk:
        return str((await sdk.register_image(TENANT, name, artifact.read_bytes())).image_id)


async def test_a_failed_instance_goes_on_where_it_failed_and_is_forked(daemons: Any, service: Any) -> None:
    product, name = daemons.product, f"restarts-{uuid.uuid4().hex[:8]}"
    image_id = await register(daemons, service, name)
    order = {"data": {"order": {"id": name, "customer": "Ada", "total": 5}}}
    service.busy["/notify"] = 2  # both attempts
    async with daemons.sdk() as sdk:
        ended = await sdk.run_instance(
            image_id, TENANT, instance_id=name, input_envelope=order, poll_interval=0.05, timeout=WAIT_SECONDS
        )
        assert (ended.status, ended.error.step_id) == (InstanceStatus.FAILED, "notify")
        assert (service.calls("/validate", name), service.calls("/notify", name)) == (1, 2)

        # It fails once more, and the attempt after that one succeeds: the budget of the step is fresh.
        service.busy["/notify"] = 1
        planned = product.ctl("retry", name, "--dry-run")
        assert planned["outcomes"] == [{"instance_id": name, "accepted": True, "code": None, "reason": None}]
        retried = product.ctl("retry", name, "--key", "mended", "--json")
        assert retried == {"instance_id": name, "result": "retried"}
        ended = await sdk.wait_for_completion(name, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.status, ended.retry_count) == (InstanceStatus.COMPLETED, 1), ended
        assert ended.output["file"]["content"]
        assert (service.calls("/validate", name), service.calls("/notify", name)) == (1, 4)
        (event,) = (await sdk.list_events(name, subtype="instance_retried")).events
        assert json.loads(event.payload["error"])["stepId"] == "notify"

        again = await sdk.retry_instance(name, retry_key="mended")
        assert again.deduplicated
        with pytest.raises(InvalidStateError, match="is completed"):
            await sdk.retry_instance(name)
        refused = product.run("runtara-ctl", "retry", name, name, "nobody", "--json")
        assert refused.exit_code == 1
        assert [outcome["code"] for outcome in refused.output["outcomes"]] == [
            "INVALID_INSTANCE_STATE",
            "INSTANCE_NOT_FOUND",
        ]

        # A fork has the file of the step before, and does the rest under its own id.
        with pytest.raises(InvalidInputError, match="'validate', 'keep', 'notify', 'read'"):
            await sdk.fork_instance(name, from_step="nothing")
        planned = product.ctl("fork", name, "--from", "notify", "--dry-run")
        assert (planned["copied"], planned["left_out"]) == (2, 2)
        assert planned["last_copied"].endswith("::keep")
        fork_id = f"{name}-fork"
        for _ in range(2):
            assert product.ctl("fork", name, "--from", "notify", "--id", fork_id) == fork_id
        forked = await sdk.wait_for_completion(fork_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (forked.status, forked.output) == (InstanceStatus.COMPLETED, ended.output), forked
        assert (service.calls("/validate", name), service.calls("/notify", name)) == (1, 5)
        keys = [item.checkpoint_id for item in (await sdk.list_checkpoints(fork_id)).checkpoints]
        assert len(keys) == 4
        assert all(f"::{fork_id}::" in key for key in keys)

        # All anew, with another version of the image.
        newer = await register(daemons, service, f"{name}-newer")
        other = await sdk.fork_instance(name, from_step="validate", image_id=newer)
        forked = await sdk.wait_for_completion(other.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (forked.status, forked.image_id, other.copied) == (InstanceStatus.COMPLETED, newer, 0)
        assert (service.calls("/validate", name), service.calls("/notify", name)) == (2, 6)


PROGRAM = """#!/usr/bin/env python3
import asyncio, os, pathlib
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        mended = pathlib.Path(os.environ["MENDED"]).exists()
        await sdk.completed("well") if mended else await sdk.failed("not yet")

asyncio.run(main())
"""


async def test_many_are_retried_by_a_filter(daemons: Any) -> None:
    product, name = daemons.product, f"many-{uuid.uuid4().hex[:8]}"
    mended = product.directory / f"{name}-mended"
    async with daemons.sdk() as sdk:
        image = await sdk.register_image(TENANT, name, PROGRAM.encode())
        ids = [f"{name}-{number}" for number in range(3)]
        for instance_id in ids:
            await sdk.start_instance(image.image_id, TENANT, instance_id=instance_id, env={"MENDED": str(mended)})
        for instance_id in ids:
            ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
            assert ended.status is InstanceStatus.FAILED
        mended.touch()
        words = ("retry", "--status", "failed", "--since", "1h", "--image", image.image_id)
        assert product.ctl(*words, "--until", "1h")["outcomes"] == []
        planned = product.ctl(*words, "--dry-run")
        assert ([each["instance_id"] for each in planned["outcomes"]], planned["dry_run"]) == (ids, True)
        shown = product.run("runtara-ctl", *words, "--limit", "2", "--table")
        assert [line.split() for line in shown.stdout.splitlines()[1:]] == [[each, "retried"] for each in ids[:2]]
        assert (shown.exit_code, "2 of 3" in shown.stderr) == (0, True)
        rest = await sdk.retry_instances(image_id=image.image_id)
        assert [(each.instance_id, each.accepted) for each in rest.outcomes] == [(ids[2], True)]
        for instance_id in ids:
            ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
            assert (ended.status, ended.output) == (InstanceStatus.COMPLETED, "well")
