"""The environment dies at each point of a launch, of a take-over and of a stop; the next one finds out and goes on.

Rows are those of the crash-point table (specification of the platform, 12.9).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import InvalidStateError
from runtara_sdk.models import InstanceStatus

ORDERS = 12
Platform = Any
Service = Any
Losses = Any

TABLE = "runtara_environment.launch_table:LaunchTable"
RUNNER = "runtara_environment.runners.native:NativeRunner"
PROCESS = "runtara_environment.runners.native:NativeProcess"
CORE = "runtara_core.management_client:ManagementClient"
SUPERVISOR = "runtara_environment.supervision.supervisor:Supervisor"
STUBBORN = Path(__file__).with_name("programs") / "stubborn.py"


async def run_through(
    platform: Platform, service: Service, at: str, when: str, call: int = 1, orders: int = ORDERS, **options: Any
) -> str:
    """Start the batch with an environment that is doomed to a point; returns when it is dead."""
    await platform.image(Path(__file__).parents[2] / "examples" / "durable_batch.py")
    await platform.replace("environment", at=at, when=when, call=call)
    instance_id: str = await platform.start_batch(service, orders=orders, **options)
    await platform.died("environment")
    return instance_id


async def finish(platform: Platform, service: Service, instance_id: str, orders: int = ORDERS) -> Any:
    info = await platform.ended(instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"processed": orders}), platform.transcript()
    service.assert_exactly_once(orders)
    return info


async def phases(platform: Platform, instance_id: str) -> list[str]:
    rows = await platform.fetch(f"SELECT phase FROM launches WHERE instance_id = '{instance_id}' ORDER BY epoch")
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("at", "when", "left", "epoch"),
    [
        pytest.param(f"{CORE}.claim_launches", "after", [], 2, id="rows_13_14_claimed"),
        pytest.param(f"{TABLE}.record_intent", "after", ["intended"], 2, id="row_2_intended"),
        pytest.param(f"{RUNNER}.launch", "after", ["intended"], 1, id="row_2_spawned"),
        pytest.param(f"{TABLE}.record_started", "after", ["started"], 1, id="row_4_recorded"),
        pytest.param(f"{PROCESS}.wait", "before", ["started"], 1, id="row_4_watched"),
        pytest.param(f"{CORE}.report_exit", "before", ["started"], 1, id="row_10_exit_not_reported"),
        pytest.param(f"{CORE}.report_exit", "after", ["started"], 1, id="row_10_exit_reported"),
    ],
)
async def test_launch(platform: Platform, service: Service, at: str, when: str, left: list[str], epoch: int) -> None:
    instance_id = await run_through(platform, service, at, when)
    assert await phases(platform, instance_id) == left
    await platform.start_environment()
    info = await finish(platform, service, instance_id)
    # The next environment knows that the owner is dead: no lease is waited for, and what runs is not run again.
    assert info.epoch == epoch
    assert info.exit_code == 0


async def test_row_3_a_fast_result_is_kept(platform: Platform, service: Service) -> None:
    instance_id = await run_through(platform, service, f"{TABLE}.record_started", "before", orders=1)

    async def completed() -> bool:
        return bool(await platform.status(instance_id) == "completed")

    await platform.eventually(completed, "the program completes without any environment")
    await platform.start_environment()
    info = await finish(platform, service, instance_id, orders=1)
    assert (info.epoch, info.exit_code) == (1, 0)


async def test_row_4_the_timeout_outlives_the_environment(platform: Platform, service: Service) -> None:
    await platform.replace("environment")
    instance_id = await platform.start(STUBBORN, {}, timeout_seconds=20)
    await platform.progressed(instance_id, 1)
    await platform.replace("environment")
    info = await platform.ended(instance_id)
    assert (info.status, info.termination_reason) == (InstanceStatus.FAILED, "timeout")


@pytest.mark.parametrize(
    ("at", "when"),
    [
        pytest.param(f"{TABLE}.take_over", "after", id="taken_over"),
        pytest.param(f"{CORE}.renew_leases", "after", id="lease_renewed"),
        pytest.param(f"{CORE}.expire_leases", "after", id="claims_freed"),
    ],
)
async def test_row_18_killed_again_in_the_middle_of_a_take_over(
    platform: Platform, service: Service, at: str, when: str
) -> None:
    instance_id = await run_through(platform, service, f"{TABLE}.record_started", "after", orders=40)
    await platform.start_environment(at=at, when=when, serves=False)
    await platform.died("environment")
    await platform.start_environment()
    info = await finish(platform, service, instance_id, orders=40)
    assert (info.epoch, info.exit_code) == (1, 0)


@pytest.mark.parametrize(
    ("at", "when"),
    [
        pytest.param(f"{SUPERVISOR}.stop_process", "before", id="signal_sent"),
        pytest.param(f"{PROCESS}.stop", "after", id="killed"),
        pytest.param(f"{CORE}.report_exit", "after", id="reported"),
    ],
)
async def test_row_20_killed_in_the_middle_of_a_stop(platform: Platform, at: str, when: str) -> None:
    await platform.image(STUBBORN)
    await platform.replace("environment", at=at, when=when)
    instance_id = await platform.start(STUBBORN, {})
    await platform.progressed(instance_id, 1)
    guest = await platform.running_guest(instance_id)
    sdk = platform.sdk()
    stop = asyncio.create_task(sdk.stop_instance(instance_id, grace_period_seconds=1))
    await platform.died("environment")
    stop.cancel()
    await asyncio.gather(stop, return_exceptions=True)
    await sdk.close()
    await platform.start_environment()
    # Cancelled only when it is dead. The stop is repeated, as by a caller that got no answer.
    with contextlib.suppress(InvalidStateError):  # it was cancelled meanwhile
        await platform.persist(lambda sdk: sdk.stop_instance(instance_id, grace_period_seconds=1))
    info = await platform.ended(instance_id)
    assert info.status is InstanceStatus.CANCELLED
    assert info.epoch == 1
    assert not guest.program.is_alive


async def test_row_19_an_old_process_is_fenced_off(own_platform: Platform, service: Service, losses: Losses) -> None:
    """Two hosts: the first one's process is frozen, its environment dies, the second host takes the instance over."""
    platform = own_platform
    platform.lease_ms = 10_000
    await platform.ensure_running()
    instance_id = await platform.start_batch(service, orders=60)
    await platform.progressed(instance_id, 20)
    frozen = await platform.running_guest(instance_id)
    assert frozen.send(signal.SIGSTOP)
    losses.remember(await platform.checkpoints(instance_id))
    losses.kills += 1  # the order in flight
    platform.kill("environment")
    await platform.start_other_host()
    await platform.running_guest(instance_id, above_epoch=1)
    frozen.send(signal.SIGCONT)

    async def thawed_is_gone() -> bool:
        return not frozen.program.is_alive

    await platform.eventually(thawed_is_gone, "the old process notices and ends")
    await platform.start_environment()
    info = await platform.ended(instance_id)
    assert (info.status, info.output, info.epoch) == (InstanceStatus.COMPLETED, {"processed": 60}, 2), (
        platform.transcript()
    )
    service.assert_exactly_once(60, losses)
