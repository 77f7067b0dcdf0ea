"""A program that does not obey its cancel is ended once its grace is over; one that does is left alone."""

from typing import Any

import pytest
from runtara_environment.launch_options import DEFAULT_CANCEL_GRACE_SECONDS
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import TransportError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

LEASE_MS = 30_000
INTERVAL_MS = LEASE_MS // 3


async def hung(host: SupervisedHost, *, cancel_grace_seconds: int | None = None) -> Any:
    """The process of an instance that will never look for signals."""
    await host.create(cancel_grace_seconds=cancel_grace_seconds)
    process = await host.launched()
    await host.register_guest(process)
    return process


async def test_a_hung_program_ends_after_the_default_grace_whoever_sent_the_cancel(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    process = await hung(host)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await host.pass_time(DEFAULT_CANCEL_GRACE_SECONDS * 1000 - 1_000)
    assert process.is_alive
    await host.pass_time(INTERVAL_MS)
    instance = await host.settled(InstanceStatus.CANCELLED, advance_ms=500)
    assert (instance.termination_reason, instance.epoch) == (TerminationReason.CANCELLED, 1)
    assert process.grace_seconds == [1.0]


async def test_a_cancel_through_the_environment_ends_at_the_grace_of_the_start(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=LEASE_MS)
    process = await hung(host, cancel_grace_seconds=3)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    supervisor.expect_cancel()
    await host.pass_time(2_000)
    assert process.is_alive
    await host.pass_time(2_000)
    await host.settled(InstanceStatus.CANCELLED)


async def test_a_clock_that_is_set_back_makes_the_grace_no_longer(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=LEASE_MS)
    await hung(host, cancel_grace_seconds=5)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    supervisor.expect_cancel()
    await host.pass_time(2_000)
    before_ms = host.clock.now_ms()
    host.clock.set_back(3_600_000)
    await host.settled(InstanceStatus.CANCELLED, advance_ms=100)
    assert host.clock.now_ms() < before_ms


async def test_without_a_grace_it_ends_at_once(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=LEASE_MS)
    await hung(host, cancel_grace_seconds=0)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    supervisor.expect_cancel()
    await host.settled(InstanceStatus.CANCELLED)


async def test_a_cancel_that_is_sent_again_and_again_waits_no_longer(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=LEASE_MS)
    await hung(host, cancel_grace_seconds=5)
    for _ in range(5):
        await host.service.send_signal("instance-1", SignalType.CANCEL)
        supervisor.expect_cancel()
        await host.pass_time(1_000)
    # The first look may have been a step of the clock late. Counted from the last cancel, it would be four.
    await host.pass_time(2_000)
    await host.settled(InstanceStatus.CANCELLED)


async def test_the_next_environment_ends_what_it_adopts(host: SupervisedHost) -> None:
    dead = await host.supervise(owner=host.owner(dead=True), lease_ms=LEASE_MS)
    process = await hung(host)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await host.pass_time(20_000)
    await dead.close(stop_guests=False)
    await host.supervise(lease_ms=LEASE_MS)
    assert process.is_alive
    # What was waited for before counts.
    await host.pass_time(DEFAULT_CANCEL_GRACE_SECONDS * 1000 - 20_000 + INTERVAL_MS)
    await host.settled(InstanceStatus.CANCELLED, advance_ms=500)


async def test_a_program_that_obeys_in_time_is_left_alone(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=LEASE_MS)
    process = await hung(host)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    supervisor.expect_cancel()
    await host.pass_time(5_000)
    await host.instances.acknowledge_signal("instance-1", 1, SignalType.CANCEL, None)
    process.end(0)
    await host.settled(InstanceStatus.CANCELLED)
    await host.pass_time(60_000)
    assert process.grace_seconds == []


async def test_a_pause_is_never_forced(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    process = await hung(host, cancel_grace_seconds=0)
    await host.service.send_signal("instance-1", SignalType.PAUSE)
    await host.pass_time(100_000)
    assert process.is_alive


@pytest.mark.parametrize("error", [TransportError("core is away"), ValueError("unforeseen")])
async def test_looking_goes_on_after_a_failure(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    pending_cancels, failures = host.service.pending_cancels, 0

    async def fail_once(owner: str, *, limit: int = 100) -> Any:
        nonlocal failures
        if not failures:
            failures += 1
            raise error
        return await pending_cancels(owner, limit=limit)

    monkeypatch.setattr(host.service, "pending_cancels", fail_once)
    await host.supervise(lease_ms=LEASE_MS)
    await hung(host, cancel_grace_seconds=0)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await host.settled(InstanceStatus.CANCELLED, advance_ms=1_000)
    assert failures == 1
