"""A workflow that sleeps for long holds no process, and wakes by itself."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from typing import Any

import asyncpg
from runtara_sdk.models import InstanceStatus

TENANT = "demo"
THREE_DAYS_MS = 3 * 24 * 3600 * 1000
WAIT_SECONDS = 60


def sleeper(service_url: str, duration_ms: int) -> dict[str, Any]:
    def call(path: str) -> dict[str, Any]:
        return {
            "stepType": "Agent",
            "agentId": "http",
            "capabilityId": "request",
            "inputMapping": {
                "url": {"valueType": "immediate", "value": f"{service_url}{path}"},
                "body": {"valueType": "reference", "value": "data.order"},
            },
        }

    return {
        "name": "Remind later",
        "inputSchema": {"order": {"type": "object", "required": True}},
        "steps": {
            "order": call("/orders"),
            "wait": {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": duration_ms}},
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


def run_input(order_id: str) -> dict[str, Any]:
    return {"data": {"order": {"id": order_id}}, "variables": {}}


def make_due(database_url: str, instance_id: str) -> None:
    """Bring a sleeper's deadline to now, as three days would."""
    statements = (
        "UPDATE sleeps SET wake_at_ms = {now} WHERE instance_id = '{id}'",
        "UPDATE instances SET wake_at_ms = {now} WHERE instance_id = '{id}'",
    )
    prepared = [statement.format(now=int(time.time() * 1000), id=instance_id) for statement in statements]
    if database_url.startswith("sqlite"):
        connection = sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=10)
        with connection:
            for statement in prepared:
                connection.execute(statement)
        connection.close()
        return

    async def update() -> None:
        connection = await asyncpg.connect(database_url)
        for statement in prepared:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(update())


def register(product: Any, scenario: dict[str, Any], name: str) -> str:
    path = product.write(f"{name}.json", scenario)
    compiled = product.run("runtara-compile", "--workflow", path, "--tenant", TENANT, "--scenario", name)
    assert compiled.exit_code == 0, compiled
    image_id: str = product.ctl("register", "--binary", compiled.stdout.strip(), "--tenant", TENANT, "--name", name)
    return image_id


async def wait_for_status(sdk: Any, instance_id: str, status: InstanceStatus) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while (info := await sdk.get_instance_status(instance_id)).status is not status:
            assert not info.status.is_terminal, info
            await asyncio.sleep(0.05)
    return info


async def test_three_days_of_sleep_hold_no_process(daemons, service) -> None:
    product = daemons.product
    image_id = await asyncio.to_thread(register, product, sleeper(service.url, THREE_DAYS_MS), "remind")
    async with daemons.sdk() as sdk:
        started = await sdk.start_instance(image_id, TENANT, input_envelope=run_input("S-1"))
        instance_id = started.instance_id
        asleep = await wait_for_status(sdk, instance_id, InstanceStatus.SUSPENDED)
        assert asleep.termination_reason == "sleeping"
        assert abs(asleep.wake_at_ms - time.time() * 1000 - THREE_DAYS_MS) < 60_000
        await product.wait_for_no_guest(instance_id)
        assert service.calls("/notify", "S-1") == 0

        await asyncio.to_thread(make_due, daemons.database_url, instance_id)
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert (ended.status, ended.output, ended.epoch) == (InstanceStatus.COMPLETED, {"reminded": "S-1"}, 2)
    assert (service.calls("/orders", "S-1"), service.calls("/notify", "S-1")) == (1, 1)


async def test_a_short_sleep_above_the_threshold_suspends_and_wakes_by_itself(daemons, service) -> None:
    product = daemons.product
    image_id = await asyncio.to_thread(register, product, sleeper(service.url, 2_000), "remind-soon")
    async with daemons.sdk() as sdk:
        started = await sdk.start_instance(
            image_id, TENANT, input_envelope=run_input("S-2"), env={"RUNTARA_SLEEP_THRESHOLD": "500ms"}
        )
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert (ended.status, ended.epoch) == (InstanceStatus.COMPLETED, 2), "it was launched twice"
    assert ended.finished_at_ms - ended.created_at_ms >= 2_000
    assert (service.calls("/orders", "S-2"), service.calls("/notify", "S-2")) == (1, 1)


async def test_a_sleep_below_the_threshold_stays_in_its_process(daemons, service) -> None:
    product = daemons.product
    image_id = await asyncio.to_thread(register, product, sleeper(service.url, 300), "remind-now")
    async with daemons.sdk() as sdk:
        started = await sdk.start_instance(image_id, TENANT, input_envelope=run_input("S-3"))
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert (ended.status, ended.epoch) == (InstanceStatus.COMPLETED, 1)
    assert ended.finished_at_ms - ended.started_at_ms >= 300


def test_a_run_that_sleeps_is_left_with_ctrl_c_and_goes_on_when_due(product, service) -> None:
    scenario = product.write("remind.json", sleeper(service.url, THREE_DAYS_MS))
    arguments = ("runtara", "run", scenario, "--instance-id", "s-4")
    command = product.start(*arguments, "--input", json.dumps(run_input("S-4")))
    command.wait_for(r"sleeping, due \d{4}-")
    interrupted = command.stop(signal.SIGINT)
    assert (interrupted.exit_code, len(interrupted.errors)) == (130, 1), interrupted
    assert product.processes() == {}

    make_due(f"sqlite:///{product.data_dir}/runtara.db", "s-4")
    resumed = product.run(*arguments)
    assert (resumed.exit_code, resumed.output) == (0, {"reminded": "S-4"}), resumed
    assert (service.calls("/orders", "S-4"), service.calls("/notify", "S-4")) == (1, 1)
