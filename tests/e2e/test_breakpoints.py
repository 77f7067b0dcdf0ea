"""Breakpoints in debug mode: the instance stops before a step, and goes on when somebody resumes it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from runtara_sdk.models import InstanceStatus

TENANT = "demo"
WAIT_SECONDS = 60


def reference(path: str) -> dict[str, Any]:
    return {"valueType": "reference", "value": path}


def call(**fields: Any) -> dict[str, Any]:
    mapping = {"source_data": reference("data")}
    return {"stepType": "Agent", "agentId": "transform", "capabilityId": "map-fields", "inputMapping": mapping} | fields


SCENARIO: dict[str, Any] = {
    "debugMode": True,
    "executionGraph": {
        "steps": {
            "first": call(breakpoint=True),
            "each": {
                "stepType": "Split",
                "config": {"value": reference("data.items"), "parallelism": 2},
                "subgraph": {
                    "steps": {
                        "before": call(),
                        "inside": call(breakpoint=True),
                        "end": {"stepType": "Finish", "inputMapping": {"outputs": reference("data")}},
                    },
                    "executionPlan": [
                        {"fromStep": "before", "toStep": "inside"},
                        {"fromStep": "inside", "toStep": "end"},
                    ],
                },
            },
            "end": {
                "stepType": "Finish",
                "breakpoint": True,
                "inputMapping": {"outputs": reference("steps.each.outputs")},
            },
        },
        "executionPlan": [{"fromStep": "first", "toStep": "each"}, {"fromStep": "each", "toStep": "end"}],
    },
}


async def stopped_or_ended(sdk: Any, instance_id: str, *, after_epoch: int) -> Any:
    """The instance once a launch after `after_epoch` has stopped or ended."""
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            info = await sdk.get_instance_status(instance_id)
            if info.status.is_terminal or (info.status is InstanceStatus.SUSPENDED and info.epoch > after_epoch):
                return info
            await asyncio.sleep(0.05)


async def test_an_instance_stops_once_at_each_breakpoint(daemons: Any) -> None:
    product = daemons.product
    scenario = product.write("stops.json", json.dumps(SCENARIO))
    words = ("runtara", "compile", "--workflow", scenario, "--tenant", TENANT, "--scenario", "stops")
    compiled = await asyncio.to_thread(product.run, *words)
    assert compiled.exit_code == 0, compiled
    words = ("register", "--binary", compiled.stdout.strip(), "--tenant", TENANT, "--name", "stops")
    image_id = await asyncio.to_thread(product.ctl, *words)
    async with daemons.sdk() as sdk:
        envelope = {"data": {"items": ["a", "b"]}}
        instance_id = (await sdk.start_instance(image_id, TENANT, input_envelope=envelope)).instance_id
        stops: list[str] = []
        epoch = 0
        while not (info := await stopped_or_ended(sdk, instance_id, after_epoch=epoch)).status.is_terminal:
            epoch = info.epoch
            stops.append(info.checkpoint_id.partition("::breakpoint::")[2])
            assert len(stops) <= 4
            await product.wait_for_no_guest(instance_id)
            await asyncio.to_thread(product.run, "runtara-ctl", "resume", instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, ["a", "b"]), info
    assert sorted(stops) == ["end", "first", "inside::[0]", "inside::[1]"]
    told = await asyncio.to_thread(product.run, "runtara-ctl", "events", instance_id, "--json")
    events = [json.loads(line) for line in told.stdout.splitlines()]
    hits = [event["payload"]["step_id"] for event in events if event["subtype"] == "breakpoint_hit"]
    assert sorted(set(hits)) == ["end", "first", "inside"]
    await steps_are_told_once(product, sdk_of=daemons.sdk, instance_id=instance_id)


async def steps_are_told_once(product: Any, *, sdk_of: Any, instance_id: str) -> None:
    """Each step is summarized once, though every launch has traced those before it again."""
    async with sdk_of() as sdk:
        steps = [step async for step in sdk.iterate_step_summaries(instance_id, page_size=3)]
        told = sorted((step.step_id, step.scope_id or "") for step in steps)
        passes = [(name, f"sc_each_{number}") for name in ("before", "inside") for number in (0, 1)]
        assert told == sorted(
            [*passes, ("each", "sc_each"), ("end", ""), ("end", "sc_each_0"), ("end", "sc_each_1"), ("first", "")]
        )
        assert {step.status for step in steps} == {"completed"}
        assert all(step.duration_ms is not None for step in steps)
        root = await sdk.list_step_summaries(instance_id, root_scopes_only=True)
        assert [step.step_id for step in root.steps] == ["first", "each", "end"]
        assert root.steps[-1].outputs["outputs"] == ["a", "b"]
        ancestors = await sdk.get_scope_ancestors(instance_id, "sc_each_1")
        assert [(each.scope_id, each.step_id, each.index) for each in ancestors] == [
            ("sc_each_1", "each", 1),
            ("sc_each", "each", None),
        ]
        scoped = await sdk.list_events(instance_id, scope_id="sc_each_1", subtype="breakpoint_hit")
        assert [event.payload["step_id"] for event in scoped.events] == ["inside"]
    table = (await asyncio.to_thread(product.run, "runtara-ctl", "steps", instance_id, "--table")).stdout.splitlines()
    assert table[0].split() == ["STEP", "TYPE", "STATUS", "STARTED", "TOOK", "SCOPE", "ERROR"]
    assert len(table) == len(steps) + 1
