"""A stop that is asked of one environment for what another one watches."""

import asyncio
from typing import cast

import pytest
from runtara_core.management import CoreManagement
from runtara_core.models import Instance
from runtara_environment.hosts import HostIdentity, HostTable
from runtara_environment.hosts.models import GONE_AFTER_MS
from runtara_environment.hosts.remote_stop import RemoteStop
from runtara_environment.owner import Owner
from runtara_environment.runner import StopError
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.models import InstanceStatus, SignalType

LEASE_MS = 30_000


class CountedCore:
    """Core's management, as far as a stop needs it, with a count."""

    def __init__(self, core: CoreManagement) -> None:
        self._core = core
        self.asked = 0

    async def get_instance(self, instance_id: str) -> Instance | None:
        self.asked += 1
        return await self._core.get_instance(instance_id)


async def running_elsewhere(host: SupervisedHost) -> tuple[Owner, HostTable, RemoteStop]:
    """An instance that a host runs, and an environment that is asked to stop it."""
    owner = host.owner()
    hosts = HostTable(host.database)
    await hosts.announce(
        HostIdentity(owner.host_id, owner.name, "worker", None, "0.1", "mock", "none"), now_ms=host.clock.now_ms()
    )
    return owner, hosts, RemoteStop(host.service, host.launches, hosts, host.clock)


async def test_the_watching_environment_keeps_to_the_grace_of_the_request(host: SupervisedHost) -> None:
    owner, hosts, _ = await running_elsewhere(host)
    asking = CountedCore(host.service)
    remote = RemoteStop(cast("CoreManagement", asking), host.launches, hosts, host.clock)
    await host.supervise(owner=owner, lease_ms=LEASE_MS)
    await host.create(cancel_grace_seconds=600)
    process = await host.launched()
    await host.register_guest(process)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    stopping = asyncio.create_task(remote.confirm("instance-1", 5))
    await host.pass_time(3_000)
    assert process.is_alive
    await host.pass_time(4_000)
    assert not process.is_alive
    await host.settled(InstanceStatus.CANCELLED)
    await host.until(lambda: _done(stopping), "confirmed", advance_ms=200)
    await stopping
    assert asking.asked == 2, "core is not polled while the launch is there"


async def test_a_program_that_has_obeyed_at_once_is_dead_before_the_stop_is_confirmed(host: SupervisedHost) -> None:
    owner, _, remote = await running_elsewhere(host)
    await host.supervise(owner=owner, lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await host.instances.acknowledge_signal("instance-1", 1, SignalType.CANCEL, None)
    assert (await host.instance()).status is InstanceStatus.CANCELLED
    stopping = asyncio.create_task(remote.confirm("instance-1", 5))
    await host.pass_time(2_000)
    assert process.is_alive
    assert not stopping.done()
    process.end(0)
    await host.until(lambda: _done(stopping), "confirmed", advance_ms=200)
    await stopping


async def test_a_host_that_is_gone_is_named(host: SupervisedHost) -> None:
    owner, _, remote = await running_elsewhere(host)
    supervisor = await host.supervise(owner=owner, lease_ms=LEASE_MS)
    await host.create()
    await host.launched()
    await supervisor.close(stop_guests=False)
    host.clock.advance(GONE_AFTER_MS + 1)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    stopping = asyncio.create_task(remote.confirm("instance-1", 1))
    await host.until(lambda: _done(stopping), "given up", advance_ms=1_000)
    with pytest.raises(StopError, match="it ran on host worker, which is gone and was heard of last at"):
        await stopping


async def test_a_host_that_has_just_died_is_gone_by_the_time_of_the_answer(host: SupervisedHost) -> None:
    owner, _, remote = await running_elsewhere(host)
    supervisor = await host.supervise(owner=owner, lease_ms=LEASE_MS)
    await host.create()
    await host.launched()
    await supervisor.close(stop_guests=False)
    host.clock.advance(1_000)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    stopping = asyncio.create_task(remote.confirm("instance-1", 1))
    await host.until(lambda: _done(stopping), "given up", advance_ms=1_000)
    with pytest.raises(StopError, match="it ran on host worker, which is gone and was heard of last at"):
        await stopping


async def _done(task: asyncio.Task[None]) -> bool:
    return task.done()
