"""A program that hangs is ended and launched again, one that computes or sleeps is not; in containers and without."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from crash_platform import TENANT, Platform
from runtara_sdk.models import InstanceStatus
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.containers import container_runtime as container_runtime

PROGRAM = Path(__file__).with_name("programs") / "hangs.py"
RUNNERS = ("native", "oci")
KINDS = ("busy", "asleep", "hung")
TIMEOUT_SECONDS = 6
"""Short for the test; signs of life of the one that sleeps come every half second."""


@pytest.mark.timeout(600)
async def test_only_a_program_that_is_silent_and_idle_is_ended(own_platform: Platform, container_runtime: str) -> None:
    platform = own_platform
    platform.set_variable("RUNTARA_OCI_RUNTIME", container_runtime)
    platform.set_variable("RUNTARA_CORE_ADDR", format_local_address(socket_path(platform.data_dir, CORE_SOCKET)))
    await platform.start_core()
    await platform.start_environment(**{"heartbeat-timeout": TIMEOUT_SECONDS})

    async def start(runner: str, kind: str) -> None:
        async def has_begun() -> bool:
            return (directory / "begun-1").exists()

        instance_id = f"{runner}-{kind}"
        directory = platform.data_dir / TENANT / "runs" / instance_id
        env = {"KIND": kind, "RUNTARA_HEARTBEAT_INTERVAL_MS": "500", "RUNTARA_SLEEP_THRESHOLD": "3600"}
        await platform.persist(lambda sdk: sdk.start_instance(images[runner], TENANT, instance_id=instance_id, env=env))
        await platform.eventually(has_begun, f"the program of {instance_id}")

    images = {}
    for runner in RUNNERS:
        registered = await platform.persist(
            lambda sdk, runner=runner: sdk.register_image_stream(TENANT, runner, PROGRAM, runner=runner)
        )
        images[runner] = registered.image_id
    for kind in KINDS:  # so the others have been silent for longer when the last ones are ended
        await asyncio.gather(*(start(runner, kind) for runner in RUNNERS))
    for runner in RUNNERS:
        hung = await platform.ended(f"{runner}-hung")
        assert (hung.status, hung.output) == (InstanceStatus.COMPLETED, {"epoch": 2}), platform.transcript()
        assert f"instance {runner}-hung was not heard of for" in platform.transcript()
    for runner in RUNNERS:
        (platform.data_dir / TENANT / "runs" / f"{runner}-busy" / "go-on").touch()
        await platform.persist(lambda sdk, runner=runner: sdk.send_custom_signal(f"{runner}-asleep", "go-on", b"now"))
        for kind in ("busy", "asleep"):
            other = await platform.ended(f"{runner}-{kind}")
            assert (other.status, other.output) == (InstanceStatus.COMPLETED, {"epoch": 1}), platform.transcript()
