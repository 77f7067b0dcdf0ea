"""Environments on one database, each with a data directory of its own: what one lacks is launched by another.

RUNTARA_HOSTS_SECONDS (6 unless set) of deaths drawn with RUNTARA_CRASH_SEED (1 unless set) on three hosts, of which
one is lost for good. Ten minutes of them:

    RUNTARA_HOSTS_SECONDS=600 uv run pytest -s tests/crash/test_several_hosts.py -k random
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from crash_platform import TENANT
from crash_platform import Platform as CrashPlatform
from runtara_core.testing.postgres import create_database, drop_database
from runtara_sdk.models import InstanceStatus
from several_hosts import STEPS, Campaign, OtherHost

SECONDS = float(os.environ.get("RUNTARA_HOSTS_SECONDS", "6"))
SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
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


@pytest.mark.timeout(600 + 2 * SECONDS)
async def test_hosts_that_die_at_random_lose_nothing(postgres_url: str, tmp_path: Path) -> None:
    url = await create_database(postgres_url)
    platform = CrashPlatform(tmp_path, url)
    platform.lease_ms = 15_000
    try:
        began = time.monotonic()
        hosts = [OtherHost(platform, name) for name in ("one", "two", "three")]
        campaign = Campaign(platform, hosts, tmp_path, SEED)
        await campaign.run(SECONDS, instances=max(8, round(SECONDS / 2)))
        violations = await campaign.violations(STEPS)
        print(
            f"\nseed {SEED}: {len(campaign.started)} instances, deaths {dict(campaign.deaths)}, "
            f"{time.monotonic() - began:.1f} s"
        )
        assert not violations, "\n".join(violations[:20]) + platform.transcript()
    finally:
        platform.close()
        await drop_database(postgres_url, url)
