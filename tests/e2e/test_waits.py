"""Waits that hold no process: for another attempt of failing work, and for a custom signal."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from runtara_sdk.models import InstanceStatus

TENANT = "demo"
WAIT_SECONDS = 60

PROGRAM = """\
#!{python}
import asyncio
from pathlib import Path

from runtara_sdk import RuntaraSdk, durable

LEDGER = Path({ledger!r})


@durable(max_retries=2, delay=1_500, strategy="fixed")
async def charge(order_id):
    with LEDGER.open("a") as ledger:
        ledger.write("charge\\n")
    if len(LEDGER.read_text().splitlines()) < 3:
        raise OSError("busy")
    return order_id


async def main():
    async with RuntaraSdk.from_env() as sdk:
        charged = await charge("A-1")
        approval = await sdk.wait_for_signal("approval", timeout=86_400)
        await sdk.completed([charged, approval.decode()])


asyncio.run(main())
"""


async def parked(sdk: Any, instance_id: str, reason: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            info = await sdk.get_instance_status(instance_id)
            assert not info.status.is_terminal, info
            if info.status is InstanceStatus.SUSPENDED and info.termination_reason == reason:
                return
            await asyncio.sleep(0.05)


async def test_backoffs_and_waits_for_signals_hold_no_process(daemons: Any) -> None:
    product = daemons.product
    ledger = Path(product.directory) / "ledger"
    program = product.write("approval.py", PROGRAM.format(python=sys.executable, ledger=str(ledger)))
    image_id = await asyncio.to_thread(
        product.ctl, "register", "--binary", program, "--tenant", TENANT, "--name", "approval"
    )
    async with daemons.sdk() as sdk:
        started = await sdk.start_instance(image_id, TENANT, env={"RUNTARA_SLEEP_THRESHOLD": "500ms"})
        instance_id = started.instance_id
        await parked(sdk, instance_id, "waiting_signal")
        assert ledger.read_text().splitlines() == ["charge"] * 3
        await product.wait_for_no_guest(instance_id)
        await asyncio.to_thread(product.ctl, "signal", instance_id, "approval", "--payload", '"yes"')
        ended = await sdk.wait_for_completion(instance_id, poll_interval=0.05, timeout=WAIT_SECONDS)
    assert ended.status is InstanceStatus.COMPLETED, ended
    assert ended.output == ["A-1", '"yes"']
    assert ended.epoch == 4, "launched once for each attempt, and once for the signal"
