"""Core and environment apart: compile, register, start, wait, through `runtara-ctl` and through the Python SDK."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import (
    ImageNotFoundError,
    InstanceExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidStateError,
)
from runtara_sdk.models import InstanceStatus

BATCH = Path(__file__).parents[2] / "examples" / "durable_batch.py"
TENANT = "demo"
WAIT_SECONDS = 60


def batch_input(service: Any, orders: int) -> dict[str, Any]:
    return {"orders": orders, "service": service.url, "rest_seconds": 0.01}


def new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


async def wait_for_status(sdk: Any, instance_id: str, status: InstanceStatus) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while (info := await sdk.get_instance_status(instance_id)).status is not status:
            assert not info.status.is_terminal, info
            await asyncio.sleep(0.05)
    return info


def test_from_scenario_to_result_through_the_commands(daemons, service) -> None:
    product = daemons.product
    assert product.ctl("health")["healthy"] is True

    text = (BATCH.parent / "order-processing.json").read_text(encoding="utf-8")
    scenario = product.write("orders.json", text.replace("http://127.0.0.1:8780", service.url))
    compiled = product.run(
        "runtara-compile", "--workflow", scenario, "--tenant", TENANT, "--scenario", "orders", "--output", "orders.bin"
    )
    assert compiled.exit_code == 0, compiled
    artifact = product.directory / "orders.bin"
    assert compiled.stdout.strip() == str(artifact)

    image_id = product.ctl("register", "--binary", artifact, "--tenant", TENANT, "--name", "orders")
    data = json.dumps({"data": {"order": {"id": "O-1", "customer": "Ada", "total": 5}}})
    instance_id = product.ctl("start", "--image", image_id, "--tenant", TENANT, "--input", data)
    ended = product.ctl("wait", instance_id, "--poll", 50, "--timeout", WAIT_SECONDS)
    assert ended["status"] == "completed", ended
    assert ended["output"]["status"] == "accepted"
    assert (ended["tenant_id"], ended["image_id"], ended["image_name"]) == (TENANT, image_id, "orders")
    assert service.calls("/notify", "O-1") == 1

    assert image_id in [image["image_id"] for image in product.ctl("list-images", "--tenant", TENANT)["images"]]
    listed = product.ctl("list-instances", "--tenant", TENANT)["instances"]
    assert instance_id in [instance["instance_id"] for instance in listed]
    assert product.ctl("status", instance_id)["finished_at_ms"] == ended["finished_at_ms"]
    missing = product.run("runtara-ctl", "status", "nobody")
    assert (missing.exit_code, len(missing.errors)) == (1, 1), missing


async def test_images_are_registered_in_one_message_or_streamed(daemons) -> None:
    async with daemons.sdk() as sdk:
        name = new_id("batch")
        small = await sdk.register_image(TENANT, name, BATCH.read_bytes(), description="the batch")
        streamed = await sdk.register_image_stream(TENANT, name, BATCH)
        assert streamed.image_id == small.image_id, "the same name keeps its image"
        image = await sdk.get_image(small.image_id, TENANT)
        assert (image.name, image.tenant_id) == (name, TENANT)
        with pytest.raises(ImageNotFoundError):
            await sdk.get_image(small.image_id, "somebody-else")
        with pytest.raises(ImageNotFoundError):
            await sdk.start_instance("no-such-image", TENANT)


async def test_a_batch_runs_each_order_once_and_its_start_is_idempotent(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        instance_id = new_id("once")
        start = {"instance_id": instance_id, "input_envelope": batch_input(service, 5)}
        first = await sdk.start_instance(image.image_id, TENANT, **start)
        second = await sdk.start_instance(image.image_id, TENANT, **start)
        assert (first.instance_id, first.deduplicated, second.deduplicated) == (instance_id, False, True)

        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.status, ended.output) == (InstanceStatus.COMPLETED, {"processed": 5})
        assert [service.calls("/orders", f"order-{n}") for n in range(5)] == [1] * 5
        assert (await sdk.list_checkpoints(instance_id)).total_count == 6

        page = await sdk.list_instances(tenant_id=TENANT, image_id=image.image_id)
        assert [instance.instance_id for instance in page.instances] == [instance_id]
        with pytest.raises(InvalidStateError):
            await sdk.cancel_instance(instance_id)
        other = await sdk.register_image_stream(TENANT, new_id("other"), BATCH)
        with pytest.raises(InstanceExistsError, match=f"by an instance of the image {image.image_id}"):
            await sdk.start_instance(other.image_id, TENANT, **start)
        with pytest.raises(InstanceNotFoundError):
            await sdk.get_instance_status("nobody")


async def test_a_running_batch_is_paused_and_resumed(daemons, service) -> None:
    product = daemons.product
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        service.hold("/orders")
        started = await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 4))
        instance_id = started.instance_id
        await asyncio.to_thread(service.wait_for_held, "/orders")
        assert product.guests(instance_id)
        await sdk.pause_instance(instance_id)
        service.release("/orders")

        paused = await wait_for_status(sdk, instance_id, InstanceStatus.SUSPENDED)
        assert (paused.termination_reason, paused.wake_at_ms) == ("paused", None)
        await product.wait_for_no_guest(instance_id)
        assert service.calls("/orders") < 4

        await sdk.resume_instance(instance_id)
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.status, ended.output) == (InstanceStatus.COMPLETED, {"processed": 4})
        assert [service.calls("/orders", f"order-{n}") for n in range(4)] == [1] * 4


async def test_a_running_batch_is_shut_down_and_goes_on_in_another_process(daemons, service) -> None:
    product = daemons.product
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        service.hold("/orders")
        started = await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 4))
        instance_id = started.instance_id
        await asyncio.to_thread(service.wait_for_held, "/orders")
        told = product.guests(instance_id)
        assert told
        await sdk.shutdown_instance(instance_id)
        service.release("/orders")
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.status, ended.output) == (InstanceStatus.COMPLETED, {"processed": 4})
        assert ended.epoch == 2
        assert [service.calls("/orders", f"order-{n}") for n in range(4)] == [1] * 4
        with pytest.raises(InvalidStateError):
            await sdk.shutdown_instance(instance_id)
        await product.wait_for_no_guest(instance_id)


async def test_a_running_batch_is_cancelled(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        service.hold("/orders")
        started = await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 4))
        await asyncio.to_thread(service.wait_for_held, "/orders")
        await sdk.cancel_instance(started.instance_id, "not wanted any more")
        service.release("/orders")
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.status is InstanceStatus.CANCELLED
        assert service.calls("/orders") < 4


async def test_stop_ends_a_process_that_does_not_listen(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        deaf = b"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"
        image = await sdk.register_image(TENANT, new_id("deaf"), deaf)
        started = await sdk.start_instance(image.image_id, TENANT)
        await wait_for_status(sdk, started.instance_id, InstanceStatus.RUNNING)
        await sdk.stop_instance(started.instance_id, grace_period_seconds=0, reason="by hand")
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.status is InstanceStatus.CANCELLED
        assert daemons.product.guests(started.instance_id) == {}
        (event,) = (await sdk.list_events(started.instance_id, subtype="instance_cancel_requested")).events
        assert event.payload == {"reason": "by hand"}


async def test_a_cancel_ends_a_process_that_does_not_listen_once_its_grace_is_over(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        deaf = b"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n"
        image = await sdk.register_image(TENANT, new_id("deaf"), deaf)
        started = await sdk.start_instance(image.image_id, TENANT, cancel_grace_seconds=1)
        await wait_for_status(sdk, started.instance_id, InstanceStatus.RUNNING)
        await sdk.cancel_instance(started.instance_id)
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.status is InstanceStatus.CANCELLED
        await daemons.product.wait_for_no_guest(started.instance_id)


async def test_waiting_survives_a_restart_of_the_environment(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        service.hold("/orders")
        started = await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 2))
        await asyncio.to_thread(service.wait_for_held, "/orders")
        guests = daemons.product.guests(started.instance_id)
        wait = asyncio.create_task(
            sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        )
        await sdk.health_check()
        assert (await asyncio.to_thread(daemons.environment.stop)).exit_code == 0
        assert daemons.product.guests(started.instance_id).keys() == guests.keys(), "the instance runs on"
        await asyncio.to_thread(daemons.start_environment)
        service.release("/orders")
        ended = await wait
        assert (ended.status, ended.epoch) == (InstanceStatus.COMPLETED, 1)
        assert service.calls("/orders") == 2


async def test_no_more_instances_run_than_allowed(sqlite_daemons, service) -> None:
    daemons = sqlite_daemons(RUNTARA_MAX_CONCURRENT_INSTANCES="2")
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, "batch", BATCH)
        service.hold("/orders")
        ids = [
            (await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 1))).instance_id
            for _ in range(6)
        ]
        await asyncio.to_thread(service.wait_for_held, "/orders")
        running = await sdk.list_instances(tenant_id=TENANT, status=InstanceStatus.RUNNING)
        assert running.total_count <= 2
        service.release("/orders")
        ended = [await sdk.wait_for_completion(name, poll_interval=0.05, timeout=WAIT_SECONDS) for name in ids]
    assert {info.status for info in ended} == {InstanceStatus.COMPLETED}
    spans = [(info.started_at_ms, info.finished_at_ms) for info in ended]
    for started_at_ms, _ in spans:
        assert sum(start <= started_at_ms < finish for start, finish in spans) <= 2, spans
    daemons.stop()


@pytest.mark.parametrize("daemons", ["sqlite"], indirect=True)  # the growing pauses take a while
async def test_a_program_that_keeps_dying_fails_with_what_it_said(daemons) -> None:
    async with daemons.sdk() as sdk:
        broken = b"#!/bin/sh\necho 'no such table' >&2\nexit 3\n"
        image = await sdk.register_image(TENANT, new_id("broken"), broken)
        ended = await sdk.run_instance(image.image_id, TENANT, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert (ended.status, ended.termination_reason) == (InstanceStatus.FAILED, "crashed")
        assert (ended.exit_code, ended.stderr) == (3, "no such table\n")
        assert ended.epoch > 1, "it was given further chances"


async def test_what_is_no_program_is_refused(daemons) -> None:
    async with daemons.sdk() as sdk:
        with pytest.raises(InvalidInputError):
            await sdk.register_image(TENANT, new_id("empty"), b"")


async def test_an_interpreter_that_the_host_lacks_is_waited_for(daemons, service) -> None:
    interpreter = daemons.product.directory / "interpreter"
    _, _, program = BATCH.read_text(encoding="utf-8").partition("\n")
    async with daemons.sdk() as sdk:
        image = await sdk.register_image(TENANT, new_id("missing"), f"#!{interpreter}\n{program}".encode())
        started = await sdk.start_instance(image.image_id, TENANT, input_envelope=batch_input(service, 1))
        async with asyncio.timeout(WAIT_SECONDS):
            while (info := await sdk.get_instance_status(started.instance_id)).error is None:
                await asyncio.sleep(0.05)
        assert (info.status, info.termination_reason) == (InstanceStatus.PENDING, "launch_failed")
        assert "its interpreter does not exist on this host" in info.error.text
        wrapper = daemons.product.write("wrapper", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        wrapper.chmod(0o755)
        wrapper.rename(interpreter)
        ended = await sdk.wait_for_completion(started.instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
        assert ended.status is InstanceStatus.COMPLETED


async def test_a_run_beyond_its_timeout_is_ended(daemons, service) -> None:
    async with daemons.sdk() as sdk:
        image = await sdk.register_image_stream(TENANT, new_id("batch"), BATCH)
        service.hold("/orders")
        ended = await sdk.run_instance(
            image.image_id, TENANT, input_envelope=batch_input(service, 1), timeout_seconds=2, timeout=WAIT_SECONDS
        )
        assert (ended.status, ended.termination_reason) == (InstanceStatus.FAILED, "timeout")
        await daemons.product.wait_for_no_guest(ended.instance_id)
