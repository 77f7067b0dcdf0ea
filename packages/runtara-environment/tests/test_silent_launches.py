"""A program that is silent and idle for too long is ended and launched again; no other one is."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import TransportError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, TerminationReason

TIMEOUT_MS = 120_000
INTERVAL_MS = 30_000
LEASE_MS = 10 * 3_600_000
"""Never the reason for another launch, however slow the machine renews while a test lets time pass."""


async def running(host: SupervisedHost) -> MockProcess:
    """The process of an instance that has registered and does nothing."""
    await host.supervise(heartbeat_timeout_seconds=TIMEOUT_MS // 1000, lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    return process


async def relaunched(host: SupervisedHost) -> None:
    await host.launched(epoch=2, advance_ms=1_000)
    instance = await host.instance()
    assert (instance.status, instance.recovery_attempts) == (InstanceStatus.RUNNING, 1)


async def test_a_silent_program_is_ended_and_launched_again(host: SupervisedHost) -> None:
    process = await running(host)
    await host.pass_time(TIMEOUT_MS - 1_000)
    assert process.is_alive
    await host.pass_time(2 * INTERVAL_MS)
    await relaunched(host)
    assert process.grace_seconds[0] == 1.0  # it may be told again, dead, before its successor starts


async def test_one_that_hangs_each_time_fails_with_the_reason(host: SupervisedHost) -> None:
    await running(host)
    instance = await host.settled(InstanceStatus.FAILED, advance_ms=5_000)
    assert (instance.termination_reason, instance.epoch) == (TerminationReason.HEARTBEAT_TIMEOUT, 6)
    assert "was not heard of for too long" in (instance.error or "")


@pytest.mark.parametrize("sign", ["heartbeat", "checkpoint", "poll", "event"])
async def test_each_sign_of_life_counts(host: SupervisedHost, sign: str) -> None:
    process = await running(host)
    for number in range(4):
        await host.pass_time(TIMEOUT_MS - INTERVAL_MS)
        match sign:
            case "heartbeat":
                await host.instances.report_event("instance-1", 1, InstanceEvent(EventType.HEARTBEAT))
            case "checkpoint":
                await host.instances.checkpoint("instance-1", 1, f"step-{number}", b"")
            case "poll":
                await host.instances.poll_signals("instance-1", 1, None)
            case "event":
                await host.instances.report_event("instance-1", 1, InstanceEvent(EventType.CUSTOM, subtype="a"))
    assert process.is_alive


async def test_a_program_that_computes_is_left_to_its_timeout(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, each_look = 0, 30_000_000

    async def cpu_usage_usec(_process: MockProcess) -> int:
        nonlocal used
        used += each_look
        return used

    monkeypatch.setattr(MockProcess, "cpu_usage_usec", cpu_usage_usec)
    process = await running(host)
    await host.pass_time(2 * TIMEOUT_MS)
    assert process.is_alive
    each_look = 0
    await relaunched(host)


async def test_time_in_which_core_was_away_does_not_count(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_contacts, away = host.service.last_contacts, False

    async def fail_at_times(owner: str, **page: Any) -> Any:
        if away:
            raise TransportError("core is away")
        return await last_contacts(owner, **page)

    monkeypatch.setattr(host.service, "last_contacts", fail_at_times)
    process = await running(host)
    await host.pass_time(TIMEOUT_MS - INTERVAL_MS)
    away = True
    await host.pass_time(2 * INTERVAL_MS)
    away = False
    await host.pass_time(TIMEOUT_MS - INTERVAL_MS)
    assert process.is_alive
    await host.pass_time(3 * INTERVAL_MS)
    await relaunched(host)


async def test_a_clock_that_is_set_ends_nothing(host: SupervisedHost) -> None:
    process = await running(host)
    for step_ms in (3_600_000, -3_600_000):
        await host.pass_time(INTERVAL_MS)
        host.clock.advance(step_ms)
        await host.pass_time(TIMEOUT_MS - INTERVAL_MS)
        assert process.is_alive


async def test_without_a_bound_nothing_is_ended(host: SupervisedHost) -> None:
    await host.supervise(heartbeat_timeout_seconds=0)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.pass_time(4 * TIMEOUT_MS)
    assert process.is_alive


async def test_the_next_environment_looks_after_what_it_adopts(host: SupervisedHost) -> None:
    dead = await host.supervise(owner=host.owner(dead=True), lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await dead.close(stop_guests=False)
    await host.supervise(heartbeat_timeout_seconds=TIMEOUT_MS // 1000, lease_ms=LEASE_MS)
    await host.pass_time(TIMEOUT_MS - 1_000)
    assert process.is_alive
    await host.pass_time(3 * INTERVAL_MS)
    await relaunched(host)
