"""Kills at random: whoever is hit, whenever, the run completes, and nothing that was checkpointed happens again.

RUNTARA_CRASH_ROUNDS kills (6 unless set) with the random numbers of RUNTARA_CRASH_SEED (1 unless set; the seed decides
victims and moments, the machine's timing does the rest). Many rounds: `RUNTARA_CRASH_ROUNDS=200 pytest -s
tests/crash/test_campaign.py --timeout 3600`.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from typing import Any

import pytest
from runtara_sdk.models import InstanceStatus

ROUNDS = int(os.environ.get("RUNTARA_CRASH_ROUNDS", "6"))
SEED = int(os.environ.get("RUNTARA_CRASH_SEED", "1"))
ORDERS_PER_KILL = 40
VICTIMS = ("program", "shim", "core", "environment", "both daemons", "everything")

Platform = Any
Service = Any
Losses = Any


async def strike(platform: Platform, instance_id: str, victim: str, losses: Losses) -> None:
    """Kill a victim, and start the daemons among it again."""
    match victim:
        case "program" | "shim":
            await platform.kill_guest(instance_id, losses, shim=victim == "shim")
        case "core" | "environment":
            await platform.replace(victim)
        case "both daemons":
            platform.kill("core")
            platform.kill("environment")
            await asyncio.gather(platform.start_core(), platform.start_environment())
        case "everything":
            await platform.kill_everything(instance_id, losses)
            await asyncio.gather(platform.start_core(), platform.start_environment())


@pytest.mark.timeout(120 + 60 * ROUNDS)
async def test_random_kills(each_platform: Platform, service: Service, losses: Losses) -> None:
    dice = random.Random(SEED)
    orders = ORDERS_PER_KILL * (ROUNDS + 1)
    instance_id = await each_platform.start_batch(
        service, orders=orders, rest_seconds=1, env={"RUNTARA_SLEEP_THRESHOLD": "0.3"}, timeout_seconds=3600
    )
    began = time.monotonic()
    struck: Counter[str] = Counter()
    points = []
    for _ in range(ROUNDS):
        progress = len(await each_platform.checkpoints(instance_id)) + dice.randint(1, ORDERS_PER_KILL - 10)
        reached = await each_platform.progressed(instance_id, min(progress, orders))
        if len(reached) > orders:
            break  # the orders and the rest: done before every kill was used
        victim = dice.choice(VICTIMS)
        struck[victim] += 1
        points.append(f"{len(reached)}:{victim}")
        await strike(each_platform, instance_id, victim, losses)
    info = await each_platform.ended(instance_id)
    again = {order: count for order, count in service.counts().items() if count > 1}
    print(
        f"\nseed {SEED}: {sum(struck.values())} kills {dict(struck)} at {', '.join(points)}; "
        f"{info.epoch} launches, {len(again)} orders in flight repeated, "
        f"{orders - len(service.counts())} lost, {time.monotonic() - began:.1f} s"
    )
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"processed": orders}), each_platform.transcript()
    service.assert_exactly_once(orders, losses)
