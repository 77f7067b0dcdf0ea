"""Environments on one database, each with a data directory of its own: what one lacks is launched by another."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from crash_platform import TENANT
from runtara_sdk.models import InstanceStatus

REPOSITORY = Path(__file__).parents[2]
BATCH = (REPOSITORY / "examples" / "durable_batch.py").read_bytes()
# The same program, as another artifact.
OTHER_BATCH = BATCH + b"# of the other host\n"
ORDERS = 2
EACH = 5
Platform = Any
Service = Any


async def two_hosts(platform: Platform) -> Platform:
    """The platform with a second environment, neither of which has the images of the other."""
    platform.lease_ms = 10_000
    await platform.ensure_running()
    await platform.start_other_host(has_images=False)
    return platform


async def test_instances_run_where_their_artifact_is(own_platform: Platform, service: Service) -> None:
    platform = await two_hosts(own_platform)
    envelope = {"orders": ORDERS, "service": service.url, "rest_seconds": 0}
    async with platform.sdk() as first, platform.other_sdk() as second:
        here = await first.register_image(TENANT, "here", BATCH)
        there = await second.register_image(TENANT, "there", OTHER_BATCH)
        # Each is asked for the images of the other, too.
        started = [
            await sdk.start_instance(image.image_id, TENANT, input_envelope=envelope)
            for sdk in (first, second)
            for image in (here, there)
            for _ in range(EACH)
        ]
        ends = await asyncio.gather(
            *(first.wait_for_completion(each.instance_id, poll_interval=0.1, timeout=60) for each in started)
        )
    assert {end.status for end in ends} == {InstanceStatus.COMPLETED}, platform.transcript()
    assert service.counts() == {f"order-{number}": len(started) for number in range(ORDERS)}


async def test_an_instance_whose_host_is_lost_waits_with_the_reason(own_platform: Platform, service: Service) -> None:
    platform = await two_hosts(own_platform)
    envelope = {"orders": ORDERS, "service": service.url, "rest_seconds": 0}
    async with platform.sdk() as first, platform.other_sdk() as second:
        image = await first.register_image(TENANT, "lost", BATCH)
        platform.kill("environment")
        started = await second.start_instance(image.image_id, TENANT, input_envelope=envelope)

        async def waits() -> bool:
            info = await second.get_instance_status(started.instance_id)
            return info.status is InstanceStatus.PENDING and info.error is not None and "missing" in info.error.text

        await platform.eventually(waits, "an instance that says what it waits for")
        again = await second.register_image(TENANT, "lost", BATCH)
        assert again.image_id == image.image_id
        end = await second.wait_for_completion(started.instance_id, poll_interval=0.1, timeout=60)
    assert end.status is InstanceStatus.COMPLETED, platform.transcript()
    service.assert_exactly_once(ORDERS)
