"""An operator's day: what failed, what happened, what was said; and starts that were made before."""

from __future__ import annotations

import json
import signal
import uuid
from typing import Any

import pytest
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus, TerminationReason

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

    listed = product.run("runtara-ctl", "checkpoints", instances["completed"], "--table", "--limit", "2")
    assert [line.split()[-1] for line in listed.stdout.splitlines()] == ["CHECKPOINT", "step-2", "step-1"]
    assert "2 of 3; --all lists all, --page-token" in listed.stderr
    everything = product.ctl("checkpoints", instances["completed"], "--all")["checkpoints"]
    assert [item["checkpoint_id"] for item in everything] == ["step-2", "step-1", "step-0"]
    assert product.ctl("checkpoints", instances["completed"], "step-1") == {"number": 1}

    # An instance that has ended is followed to its last event.
    for options in ((), ("--follow",), ("--all",), ("--all", "--follow")):
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


async def test_lists_are_paged_by_token_and_filtered(daemons: Any, instances: dict[str, Any]) -> None:
    async with daemons.sdk() as sdk:
        where = {"image_id": instances["image"]}
        first = await sdk.list_instances(**where, limit=1)
        assert (first.total_count, len(first.instances)) == (2, 1)
        await sdk.start_instance(instances["image"], TENANT)  # comes before what was listed
        second = await sdk.list_instances(**where, limit=1, page_token=first.next_page_token)
        assert second.total_count == 2
        assert {page.instances[0].instance_id for page in (first, second)} == {
            instances["completed"],
            instances["failed"],
        }
        with pytest.raises(InvalidInputError, match="page_token"):
            await sdk.list_instances(image_id="other", page_token=first.next_page_token)
        for filtered in (
            {"termination_reason": TerminationReason.APPLICATION_ERROR},
            {"status": InstanceStatus.FAILED},
        ):
            found = [each.instance_id async for each in sdk.iterate_instances(**where, **filtered)]
            assert found == [instances["failed"]]
        ended = (InstanceStatus.COMPLETED, InstanceStatus.FAILED)
        listed = [each async for each in sdk.iterate_instances(**where, status=ended, page_size=1)]
        assert {instances["completed"], instances["failed"]} <= {each.instance_id for each in listed}

        keys = [each.checkpoint_id async for each in sdk.iterate_checkpoints(instances["completed"], page_size=2)]
        assert keys == ["step-2", "step-1", "step-0"]
        found = await sdk.list_checkpoints(instances["completed"], checkpoint_id="step-1")
        assert [each.checkpoint_id for each in found.checkpoints] == ["step-1"]
        events = [each async for each in sdk.iterate_events(instances["completed"], page_size=2)]
        assert [each.event_id for each in events] == sorted(each.event_id for each in events)
        assert (events[0].event_type, events[-1].event_type, len(events)) == ("started", "completed", 5)
        found = await sdk.list_events(instances["completed"], payload_contains="DID 1")
        assert [each.payload["message"] for each in found.events] == ["did 1"]
        images = [each.image_id async for each in sdk.iterate_images(TENANT, page_size=1)]
        assert instances["image"] in images
        assert len(images) == len(set(images))

        metrics = await sdk.get_tenant_metrics(TENANT)
        counted = sum(bucket.success_count for bucket in metrics.buckets)
        assert counted >= 1
        assert sum(bucket.failure_count for bucket in metrics.buckets) >= 1


def test_an_instance_is_watched_to_its_end(daemons: Any, instances: dict[str, Any]) -> None:
    watched = daemons.product.run("runtara-ctl", "watch", instances["failed"])
    assert watched.exit_code == 0
    assert watched.stdout.split()[1:] == [instances["failed"], "failed", "application_error"]
    words = ("watch", "--image", instances["image"], "--interval", "0.2", "--json")
    process = daemons.product.start("runtara-ctl", *words)
    process.wait_for("completed")
    process.send(signal.SIGINT)
    finished = process.finish(seconds=WAIT_SECONDS)
    assert (finished.exit_code, finished.stderr) == (130, "")
    assert {json.loads(line)["status"] for line in finished.stdout.splitlines()} >= {"completed", "failed"}
