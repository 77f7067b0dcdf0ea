"""Rows of hosts: who is there, which one a person means, and what a host that is asked to drain does."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from runtara_environment.hosts import HostIdentity, HostState, HostTable
from runtara_environment.hosts.host_service import HostService
from runtara_environment.hosts.models import GONE_AFTER_MS
from runtara_environment.hosts.presence import HostPresence
from runtara_environment.supervision.supervisor import Supervisor
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus


def identity(host_id: str, name: str, owner: str = "owner") -> HostIdentity:
    return HostIdentity(host_id, owner, name, None, "0.1", "mock", "none")


async def no_artifacts() -> frozenset[str]:
    return frozenset()


async def test_the_host_that_a_person_means(host: SupervisedHost) -> None:
    hosts, now_ms = HostTable(host.database), host.clock.now_ms()
    await hosts.announce(identity("aa11", "worker"), now_ms=now_ms - GONE_AFTER_MS - 1)
    await hosts.announce(identity("aa22", "worker"), now_ms=now_ms)
    await hosts.announce(identity("bb11", "other"), now_ms=now_ms)
    for text, found in (("aa11", "aa11"), ("worker", "aa22"), ("b", "bb11"), ("other", "bb11")):
        assert (await hosts.find(text, now_ms=now_ms)).host_id == found
    problems = {"aa": "may be any of 2 hosts", "none": "there is no host 'none'", "": "there is no host"}
    for text, problem in problems.items():
        with pytest.raises(InvalidInputError, match=problem):
            await hosts.find(text, now_ms=now_ms)
    states = {each.host_id: each.state for each in await hosts.list_hosts(now_ms=now_ms)}
    assert states == {"aa11": HostState.GONE, "aa22": HostState.ACTIVE, "bb11": HostState.ACTIVE}


async def test_a_row_is_touched_by_its_owner_alone(host: SupervisedHost) -> None:
    hosts, now_ms = HostTable(host.database), host.clock.now_ms()
    await hosts.announce(identity("aa11", "worker", "first"), now_ms=now_ms)
    await hosts.announce(identity("aa11", "worker", "second"), now_ms=now_ms)
    touched = [
        await hosts.touch("aa11", owner, state=HostState.ACTIVE, live_launches=3, now_ms=now_ms)
        for owner in ("first", "second")
    ]
    assert touched[0] is None
    assert touched[1] is not None
    assert touched[1].live_launches == 3


async def test_artifacts_that_come_and_go(host: SupervisedHost) -> None:
    hosts, now_ms = HostTable(host.database), host.clock.now_ms()
    await hosts.announce(identity("aa11", "worker"), now_ms=now_ms)
    await hosts.change_artifacts("aa11", added=("one", "two"))
    await hosts.change_artifacts("aa11", added=("two", "three"), removed=("one",))
    assert await hosts.artifacts_of("aa11") == {"two", "three"}
    assert [each.host_id for each in await hosts.with_artifact("two", limit=5, now_ms=now_ms)] == ["aa11"]
    assert await hosts.with_artifact("two", limit=5, now_ms=now_ms + GONE_AFTER_MS + 1) == []


async def test_a_program_that_does_not_suspend_is_ended_and_its_instance_is_due(host: SupervisedHost) -> None:
    hosts = HostTable(host.database)
    owner = host.owner()
    supervisor: Supervisor = await host.supervise(owner=owner, starts=False)
    presence = HostPresence(hosts, identity(owner.host_id, "worker", owner.name), supervisor, host.clock, no_artifacts)
    service = HostService(hosts, presence, host.clock)
    await presence.start(None)
    await host.create()
    process: MockProcess = await host.launched()
    await host.register_guest(process)
    await service.drain_host("worker", suspend_seconds=30)
    await host.until(_is(hosts, host, HostState.DRAINING), "draining")
    assert process.is_alive
    await host.until(_is(hosts, host, HostState.DRAINED), "drained", advance_ms=500)
    assert not process.is_alive
    instance = await host.settled(InstanceStatus.SUSPENDED)
    assert (instance.termination_reason, instance.recovery_attempts) == ("shutdown_requested", 0)
    assert instance.wake_at_ms is not None
    assert instance.wake_at_ms <= host.clock.now_ms()
    await service.undrain_host("worker")
    await host.launched(epoch=2)
    await presence.close()
    (row,) = await hosts.list_hosts(now_ms=host.clock.now_ms())
    assert row.state is HostState.STOPPED


def _is(hosts: HostTable, host: SupervisedHost, state: HostState) -> Callable[[], Awaitable[Any]]:
    async def look() -> bool:
        return all(each.state is state for each in await hosts.list_hosts(now_ms=host.clock.now_ms()))

    return look
