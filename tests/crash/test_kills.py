"""`kill -9` in the middle of a run, of every process there is, on both databases: the run completes by itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.models import InstanceStatus

ORDERS = 120
Platform = Any
Service = Any
Losses = Any


async def finish(platform: Platform, service: Service, losses: Losses, instance_id: str, orders: int = ORDERS) -> Any:
    info = await platform.ended(instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"processed": orders}), platform.transcript()
    service.assert_exactly_once(orders, losses)
    return info


async def test_program_and_shim_killed(each_platform: Platform, service: Service, losses: Losses) -> None:
    instance_id = await each_platform.start_batch(service, orders=ORDERS)
    for progress, shim in ((20, False), (60, True)):
        await each_platform.progressed(instance_id, progress)
        await each_platform.kill_guest(instance_id, losses, shim=shim)
    info = await finish(each_platform, service, losses, instance_id)
    assert info.epoch == 1 + losses.kills


async def test_core_killed(each_platform: Platform, service: Service, losses: Losses) -> None:
    instance_id = await each_platform.start_batch(service, orders=ORDERS)
    for progress in (20, 60):
        await each_platform.progressed(instance_id, progress)
        await each_platform.replace("core")
    info = await finish(each_platform, service, losses, instance_id)
    assert info.epoch == 1  # the program waited for core


async def test_row_18_environment_killed_and_the_survivor_adopted(
    each_platform: Platform, service: Service, losses: Losses
) -> None:
    instance_id = await each_platform.start_batch(service, orders=ORDERS)
    for progress in (20, 60):
        await each_platform.progressed(instance_id, progress)
        await each_platform.replace("environment")
    info = await finish(each_platform, service, losses, instance_id)
    assert (info.epoch, info.exit_code) == (1, 0)


async def test_row_18_environment_killed_and_the_dead_relaunched(
    each_platform: Platform, service: Service, losses: Losses
) -> None:
    instance_id = await each_platform.start_batch(service, orders=ORDERS)
    await each_platform.progressed(instance_id, 30)
    each_platform.kill("environment")
    await each_platform.kill_guest(instance_id, losses)
    await each_platform.start_environment()
    info = await finish(each_platform, service, losses, instance_id)
    assert info.epoch == 2


async def test_everything_killed_at_once(each_platform: Platform, service: Service, losses: Losses) -> None:
    instance_id = await each_platform.start_batch(service, orders=ORDERS)
    await each_platform.progressed(instance_id, 30)
    await each_platform.kill_everything(instance_id, losses)
    # In the order that makes it hard: the environment comes up without a core.
    starting = asyncio.create_task(each_platform.start_environment())
    await each_platform.start_core()
    await starting
    info = await finish(each_platform, service, losses, instance_id)
    assert info.epoch == 2


async def test_row_12_everything_killed_during_a_long_sleep(
    each_platform: Platform, service: Service, losses: Losses
) -> None:
    instance_id = await each_platform.start_batch(
        service, orders=10, rest_seconds=4, env={"RUNTARA_SLEEP_THRESHOLD": "0.5"}
    )
    await each_platform.progressed(instance_id, 7)  # six orders and the rest

    slept = (await each_platform.fetch(f"SELECT wake_at_ms FROM sleeps WHERE instance_id = '{instance_id}'"))[0][0]
    await each_platform.kill_everything(instance_id, losses)
    await each_platform.start_core()
    await each_platform.start_environment()
    info = await finish(each_platform, service, losses, instance_id, orders=10)
    again = (await each_platform.fetch(f"SELECT wake_at_ms FROM sleeps WHERE instance_id = '{instance_id}'"))[0][0]
    assert again == slept  # the deadline is the first one
    assert info.finished_at_ms is not None
    assert info.finished_at_ms >= slept


def _scenario(url: str) -> dict[str, Any]:
    def call(path: str) -> dict[str, Any]:
        return {
            "stepType": "Agent",
            "agentId": "http",
            "capabilityId": "request",
            "inputMapping": {
                "url": {"valueType": "immediate", "value": f"{url}{path}"},
                "body": {"valueType": "reference", "value": "data.order"},
            },
        }

    return {
        "name": "Remind later",
        "inputSchema": {"order": {"type": "object", "required": True}},
        "steps": {
            "order": call("/orders"),
            "wait": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 2500}},
            "remind": call("/notify"),
            "finish": {
                "stepType": "Finish",
                "inputMapping": {"reminded": {"valueType": "reference", "value": "steps.remind.outputs.body.order"}},
            },
        },
        "entryPoint": "order",
        "executionPlan": [
            {"fromStep": "order", "toStep": "wait"},
            {"fromStep": "wait", "toStep": "remind"},
            {"fromStep": "remind", "toStep": "finish"},
        ],
    }


@pytest.fixture
async def compiled(tmp_path: Path, service: Service) -> Path:
    """The scenario above, compiled."""
    from runtara_sdk.plugins import load_one

    path = tmp_path / "remind.json"
    path.write_text(json.dumps(_scenario(service.url)))
    compiler = load_one("runtara.services", "compiler", package="runtara-compiler", needed_by="this test")()
    artifact = await compiler.compile_file(
        path, tenant_id="demo", target="python", data_dir=tmp_path / "build", progress=lambda _: None
    )
    return Path(artifact.artifact_path)


async def test_compiled_scenario_killed_with_everything(
    each_platform: Platform, service: Service, losses: Losses, compiled: Path
) -> None:
    envelope = {"data": {"order": {"id": "A-1"}}, "variables": {}}
    instance_id = await each_platform.start(compiled, envelope)
    await each_platform.progressed(instance_id, 2)  # the order, and the delay that has begun
    await each_platform.kill_guest(instance_id, losses)
    await each_platform.running_guest(instance_id, above_epoch=1)
    await each_platform.kill_everything(instance_id, losses)
    await each_platform.start_core()
    await each_platform.start_environment()
    info = await each_platform.ended(instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"reminded": "A-1"}), each_platform.transcript()
    assert losses.kills == 2
    assert service.counts("/orders") == {"A-1": 1}
    assert service.counts("/notify") == {"A-1": 1}
