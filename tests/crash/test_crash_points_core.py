"""Core dies at each point of a request: before its transaction, and between the commit and the answer.

Rows are those of the crash-point table (specification of the platform, 12.9). The program and the environment only see
that an answer does not come; they ask again, and nothing happens twice.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from runtara_sdk.models import InstanceStatus

ORDERS = 12
Platform = Any
Service = Any

INSTANCE = "runtara_core.instance_service:InstanceService"
MANAGEMENT = "runtara_core.management_service:ManagementService"


async def run_through(
    platform: Platform,
    service: Service,
    at: str,
    *,
    call: int = 1,
    whens: tuple[str, ...] = ("before", "after"),
    **options: Any,
) -> str:
    """Run the batch while core dies around the same verb twice: before it took effect, then after."""
    await platform.replace("core", at=at, when=whens[0], call=call)
    instance_id: str = await platform.start_batch(service, orders=ORDERS, **options)
    for when in whens[1:]:
        await platform.died("core")
        await platform.start_core(at=at, when=when)
    await platform.died("core")
    await platform.start_core()
    return instance_id


async def finish(platform: Platform, service: Service, instance_id: str) -> Any:
    info = await platform.ended(instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"processed": ORDERS}), platform.transcript()
    service.assert_exactly_once(ORDERS)
    return info


async def test_row_1_instance_created_and_the_answer_lost(platform: Platform, service: Service) -> None:
    await platform.replace("core", at=f"{MANAGEMENT}.create_instance", when="after")
    # The start is repeated with its id until it is answered.
    task = asyncio.create_task(platform.start_batch(service, orders=ORDERS, instance_id="row-1"))
    await platform.died("core")
    assert await platform.status("row-1") == "pending"
    await platform.start_core()
    assert await task == "row-1"
    assert (await finish(platform, service, "row-1")).epoch == 1


async def test_a_retry_is_accepted_and_the_answer_lost(platform: Platform, service: Service) -> None:
    program = Path(__file__).with_name("programs") / "fails_first.py"
    instance_id = await platform.start(program, {})
    assert (await platform.ended(instance_id)).status is InstanceStatus.FAILED
    await platform.replace("core", at=f"{MANAGEMENT}.retry_instance", when="after")
    # The retry is repeated with its key until it is answered.
    task = asyncio.create_task(platform.persist(lambda sdk: sdk.retry_instance(instance_id, retry_key="r")))
    await platform.died("core")
    assert await platform.status(instance_id) in ("pending", "running")
    await platform.start_core()
    assert (await task).deduplicated
    info = await platform.ended(instance_id)
    assert (info.status, info.retry_count, info.output) == (InstanceStatus.COMPLETED, 1, "done")
    where = f"WHERE instance_id = '{instance_id}' AND subtype = 'instance_retried'"
    assert len(await platform.fetch(f"SELECT id FROM instance_events {where}")) == 1


async def test_a_fork_is_made_and_the_answer_lost(platform: Platform, service: Service) -> None:
    origin_id = await platform.start_batch(service, orders=ORDERS)
    await finish(platform, service, origin_id)
    await platform.replace("core", at=f"{MANAGEMENT}.fork_instance", when="after")
    fork = {"instance_id": f"{origin_id}-fork"}
    task = asyncio.create_task(platform.persist(lambda sdk: sdk.fork_instance(origin_id, **fork)))
    await platform.died("core")
    await platform.start_core()
    forked = await task
    assert (forked.deduplicated, forked.copied) == (True, ORDERS + 1)
    # All of it was recorded, so the fork does nothing again.
    info = await finish(platform, service, forked.instance_id)
    assert info.epoch == 1


async def test_row_3_registration(platform: Platform, service: Service) -> None:
    instance_id = await run_through(platform, service, f"{INSTANCE}.register")
    assert (await finish(platform, service, instance_id)).epoch == 1


async def test_row_6_checkpoint(platform: Platform, service: Service) -> None:
    instance_id = await run_through(platform, service, f"{INSTANCE}.checkpoint", call=5)
    assert (await finish(platform, service, instance_id)).epoch == 1
    assert len(await platform.checkpoints(instance_id)) == ORDERS + 1


async def test_row_6_several_checkpoints_in_one_call(platform: Platform, tmp_path: Path) -> None:
    """Core dies before their transaction, and between its commit and the answer: all are stored once, or none is."""
    at = f"{INSTANCE}.checkpoints"
    await platform.replace("core", at=at, when="before")
    program = Path(__file__).with_name("programs") / "rows.py"
    instance_id = await platform.start(program, {"row": "several", "directory": str(tmp_path)})
    await platform.died("core")
    assert await platform.checkpoints(instance_id) == {"old"}
    await platform.start_core(at=at, when="after")
    await platform.died("core")
    assert await platform.checkpoints(instance_id) == {"old", "one", "two"}
    await platform.start_core()
    info = await platform.ended(instance_id)
    # What the lost answer said is said again: the first "one" is not found, although it is there by now.
    assert (info.status, info.output, info.epoch) == (InstanceStatus.COMPLETED, [None, "old", None, "1"], 1)


async def test_rows_8_and_9_completion(platform: Platform, service: Service) -> None:
    instance_id = await run_through(platform, service, f"{INSTANCE}.report_event")
    info = await finish(platform, service, instance_id)
    assert (info.epoch, info.exit_code) == (1, 0)
    where = f"WHERE instance_id = '{instance_id}' AND event_type = 'completed'"
    assert len(await platform.fetch(f"SELECT id FROM instance_events {where}")) == 1


async def test_row_10_exit_report(platform: Platform, service: Service) -> None:
    instance_id = await run_through(platform, service, f"{MANAGEMENT}.report_exit")
    info = await finish(platform, service, instance_id)
    assert (info.epoch, info.exit_code) == (1, 0)


async def test_row_11_long_sleep(platform: Platform, service: Service) -> None:
    instance_id = await run_through(
        platform, service, f"{INSTANCE}.sleep", rest_seconds=1, env={"RUNTARA_SLEEP_THRESHOLD": "0.2"}
    )
    info = await finish(platform, service, instance_id)
    # The deadline may come before the answer that would have ended the process.
    assert info.epoch <= 2
    sleeps = await platform.fetch(f"SELECT wake_at_ms, done_at_ms FROM sleeps WHERE instance_id = '{instance_id}'")
    ((wake_at_ms, done_at_ms),) = sleeps
    assert done_at_ms >= wake_at_ms


async def test_row_14_claimed_and_the_answer_lost(own_platform: Platform, service: Service) -> None:
    platform = own_platform
    platform.lease_ms = 10_000
    await platform.ensure_running()
    instance_id = await run_through(platform, service, f"{MANAGEMENT}.claim_launches", whens=("after",))
    # The environment lives and never learns of the launch: the lease ends.
    assert (await finish(platform, service, instance_id)).epoch == 2
