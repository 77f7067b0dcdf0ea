"""What a drain leaves behind: no claim that nobody watches, and nothing that it takes for ended too early."""

import asyncio
from typing import Any

import pytest
from runtara_environment.hosts import HostIdentity, HostState, HostTable
from runtara_environment.hosts.presence import HostPresence
from runtara_environment.supervision.supervisor import Supervisor
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import TransportError
from runtara_sdk.models import InstanceStatus


async def test_a_claim_that_core_has_just_answered_is_given_back(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_launches = host.service.claim_launches
    is_late = asyncio.Event()

    async def answer_too_late(owner: str, **call: Any) -> Any:
        claims = await claim_launches(owner, **call)
        if any(claim.instance_id == "late" for claim in claims):
            is_late.set()
            await asyncio.Event().wait()  # the answer is on its way
        return claims

    monkeypatch.setattr(host.service, "claim_launches", answer_too_late)
    supervisor = await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.create("late")
    await asyncio.wait_for(is_late.wait(), 60)
    draining = asyncio.create_task(supervisor.drain(600))
    late = await host.settled(InstanceStatus.PENDING, "late")
    assert late.wake_at_ms is not None
    assert late.wake_at_ms <= host.clock.now_ms()
    assert (await host.instance()).status is InstanceStatus.RUNNING
    assert process.is_alive
    await host.complete_guest(process)
    process.end(0)

    async def is_over() -> bool:
        return draining.done()

    await host.until(is_over, "drained", advance_ms=100)
    assert await draining == 0
    monkeypatch.setattr(host.service, "claim_launches", claim_launches)
    supervisor.claim_again()
    await host.launched("late", epoch=2)


async def test_what_was_not_adopted_yet_is_not_taken_for_drained(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await host.supervise(owner=host.owner(dead=True))
    await host.create()
    process = await host.launched()
    await host.register_guest(process)

    async def is_started() -> bool:
        return [row.phase for row in await host.rows()] == ["started"]

    await host.until(is_started, "recorded")
    await dead.close(stop_guests=False)
    renew_leases, away = host.service.renew_leases, True

    async def renew_when_there(*call: Any, **further: Any) -> Any:
        if away:
            raise TransportError("core is away")
        return await renew_leases(*call, **further)

    monkeypatch.setattr(host.service, "renew_leases", renew_when_there)
    owner = host.owner()
    supervisor = await host.supervise(owner=owner, starts=False)
    identity = HostIdentity(owner.host_id, owner.name, "worker", None, "0.1", "mock", "none")
    hosts = HostTable(host.database)

    async def no_artifacts() -> frozenset[str]:
        return frozenset()

    await hosts.announce(identity, now_ms=host.clock.now_ms())
    await hosts.request_drain(owner.host_id, requested_at_ms=host.clock.now_ms(), drain_seconds=1)
    assert await supervisor.drain(0.01) == 0
    assert not supervisor.is_drained
    presence = HostPresence(hosts, identity, supervisor, host.clock, no_artifacts)
    await presence.start(None)
    await host.pass_time(5_000)
    assert (presence.state.value, host.runner.alive) == ("draining", [process])
    away = False
    await host.settled(InstanceStatus.SUSPENDED, advance_ms=500)
    assert host.runner.alive == []

    async def is_drained() -> bool:
        return presence.state is HostState.DRAINED

    await host.until(is_drained, "drained", advance_ms=500)
    await presence.close()


async def _away(*_: Any, **__: Any) -> Any:
    raise TransportError("core is away")


async def _drained(host: SupervisedHost, supervisor: Supervisor, seconds: float, *, advance_ms: int) -> tuple[int, int]:
    """What a drain returns, and how many milliseconds of the clock it took."""
    began_ms = host.clock.now_ms()
    draining = asyncio.create_task(supervisor.drain(seconds))

    async def is_over() -> bool:
        return draining.done()

    await host.until(is_over, "drained", advance_ms=advance_ms)
    return await draining, host.clock.now_ms() - began_ms


async def test_a_drain_ends_soon_when_core_is_away(host: SupervisedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    with monkeypatch.context() as patch:
        for verb in ("send_signal", "health_check", "renew_leases", "claim_launches"):
            patch.setattr(host.service, verb, _away)
        left, took_ms = await _drained(host, supervisor, 3_600, advance_ms=500)
        assert left == 1
        assert 10_000 <= took_ms < 600_000
        assert not supervisor.is_drained
        await supervisor.close(stop_guests=False)
    assert process.is_alive
    assert (await host.instance()).status is InstanceStatus.RUNNING


async def test_a_program_that_could_not_be_told_is_not_ended(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = await host.supervise()
    await host.create("told")
    told = await host.launched("told")
    await host.create("untold")
    untold = await host.launched("untold")
    for process in (told, untold):
        await host.register_guest(process)
    send_signal = host.service.send_signal

    async def tell_one(instance_id: str, *call: Any) -> Any:
        return await (_away() if instance_id == "untold" else send_signal(instance_id, *call))

    monkeypatch.setattr(host.service, "send_signal", tell_one)
    left, _ = await _drained(host, supervisor, 5, advance_ms=50)
    assert (left, told.is_alive, untold.is_alive) == (1, False, True)


async def test_launches_that_are_left_wait_a_minute_for_the_next_environment(host: SupervisedHost) -> None:
    supervisor = await host.supervise(lease_ms=12_000)
    await host.create()
    await host.launched()
    await supervisor.close(stop_guests=False)
    assert (await host.instance()).lease_until_ms == host.clock.now_ms() + 60_000
    assert await host.service.claim_launches("another host", limit=1, lease_ms=12_000) == []
