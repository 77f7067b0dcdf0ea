"""What a drain leaves behind: no claim that nobody watches, and nothing that it takes for ended too early."""

import asyncio
from typing import Any

import pytest
from runtara_environment.hosts import HostIdentity, HostState, HostTable
from runtara_environment.hosts.presence import HostPresence
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
