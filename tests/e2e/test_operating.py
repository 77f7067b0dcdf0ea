"""An operator's day: what failed, what happened, what was said; and starts that were made before."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from runtara_sdk.models import InstanceStatus

TENANT = "demo"
WAIT_SECONDS = 60

PROGRAM = """#!/usr/bin/env python3
import asyncio, json, os, sys
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        for number in range(3):
            await sdk.checkpoint(f"step-{number}", json.dumps({"number": number}).encode())
            said = {"level": "info", "message": f"did {number}", "context": {"number": number}}
            await sdk.custom_event("workflow_log", json.dumps(said).encode())
        print("that is all", file=sys.stderr)
        await sdk.failed("nothing works today") if os.environ.get("FAIL") else await sdk.completed({"done": 3})

asyncio.run(main())
"""


@pytest.fixture
async def instances(daemons: Any) -> dict[str, Any]:
    """One instance that completed and one that failed, of an image of their own."""
    name = f"operated-{uuid.uuid4().hex[:8]}"
    async with daemons.sdk() as sdk:
        image = await sdk.register_image(TENANT, name, PROGRAM.encode())
        ids = {}
        for label, env in (("completed", {}), ("failed", {"FAIL": "1"})):
            started = await sdk.start_instance(image.image_id, TENANT, instance_id=f"{name}-{label}", env=env)
            await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
            ids[label] = started.instance_id
    return {"image": image.image_id, **ids}


def test_what_an_operator_asks(daemons: Any, instances: dict[str, Any]) -> None:
    product = daemons.product
    words = ("list-instances", "--tenant", TENANT, "--image", instances["image"])
    failed = product.ctl(*words, "--status", "failed", "--since", "1h")
    assert [item["instance_id"] for item in failed["instances"]] == [instances["failed"]]
    assert failed["instances"][0]["finished_at"].endswith("Z")
    assert product.ctl(*words, "--until", "1h")["instances"] == []
    shown = product.ctl(*words, "--table").splitlines()
    assert shown[0].split() == ["INSTANCE", "STATUS", "IMAGE", "CREATED", "TOOK", "REASON"]
    assert {line.split()[1] for line in shown[1:]} == {"completed", "failed"}

    listed = product.run("runtara-ctl", "checkpoints", instances["completed"])
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["CHECKPOINT", "step-0", "step-1", "step-2"]
    assert product.ctl("checkpoints", instances["completed"], "step-1") == {"number": 1}

    # An instance that has ended is followed to its last event.
    for options in ((), ("--follow",)):
        told = product.run("runtara-ctl", "events", instances["completed"], "--json", *options)
        events = [json.loads(line) for line in told.stdout.splitlines()]
        assert [event["event_id"] for event in events] == sorted(event["event_id"] for event in events)
        assert [event["event_type"] for event in events if event["subtype"] is None] == ["started", "completed"]

    logs = product.run("runtara-ctl", "logs", instances["completed"])
    lines = [line.split(maxsplit=2)[1:] for line in logs.stdout.splitlines()]
    assert lines[:3] == [["INFO", f'did {n}  {{"number": {n}}}'] for n in range(3)]
    assert "that is all" in logs.stdout

    unknown = product.run("runtara-ctl", "events", "nobody")
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert "nobody" in unknown.stderr


async def test_a_start_made_before_tells_what_it_was(daemons: Any, instances: dict[str, Any]) -> None:
    product, instance_id = daemons.product, instances["completed"]
    async with daemons.sdk() as sdk:
        same = await sdk.start_instance(instances["image"], TENANT, instance_id=instance_id)
        assert same.earlier is not None
        assert (same.earlier.image_id, same.earlier.status) == (instances["image"], InstanceStatus.COMPLETED)
        assert (same.earlier.other_version, same.earlier.other_input) == (False, False)
        numbers = {"a": 1, "b": [100.0]}
        first = await sdk.start_instance(instances["image"], TENANT, input_envelope=numbers)
        written = {"instance_id": first.instance_id, "input_envelope": b'{"b": [1e2], "a": 1.0}'}
        again = await sdk.start_instance(instances["image"], TENANT, **written)
        assert again.earlier is not None
        assert not again.earlier.other_input
        info = await sdk.get_instance_status(instance_id)
        await sdk.register_image(TENANT, info.image_name, PROGRAM.encode() + b"# changed\n")
        start = {"instance_id": instance_id, "input_envelope": {"data": 1}}
        changed = await sdk.start_instance(instances["image"], TENANT, **start)
        assert changed.earlier is not None
        assert (changed.deduplicated, changed.earlier.other_version, changed.earlier.other_input) == (True, True, True)
    words = ("start", "--image", instances["image"], "--tenant", TENANT, "--instance-id", instance_id)
    told = product.run("runtara-ctl", *words)
    assert told.stdout.strip() == instance_id
    assert "another version of the image" in told.stderr
