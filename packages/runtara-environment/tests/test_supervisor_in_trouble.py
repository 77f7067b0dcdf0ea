"""A host that is short of something, a core that refuses or hangs, a process that does not die: nothing runs twice."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from runtara_core.management import CoreManagement
from runtara_core.models import Instance
from runtara_environment import shim
from runtara_environment.hosts import HostIdentity, HostTable
from runtara_environment.hosts.models import HostState
from runtara_environment.hosts.presence import HostPresence
from runtara_environment.hosts.remote_stop import RemoteStop
from runtara_environment.launch_table import Launch
from runtara_environment.runner import LaunchedProcess, LaunchSpec
from runtara_environment.runners import process_identity
from runtara_environment.supervision import adoption, supervisor
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import StorageError, UnauthenticatedError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

LEASE_MS = 600_000
NO_DESCRIPTOR = OSError(errno.EMFILE, "Too many open files", "/proc/sys/kernel/random/boot_id")


async def test_what_was_started_before_an_error_is_watched(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = host.runner.launch

    async def launch_and_stumble(spec: LaunchSpec) -> LaunchedProcess:
        await launch(spec)
        raise NO_DESCRIPTOR

    monkeypatch.setattr(host.runner, "launch", launch_and_stumble)
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    process.end(-9)
    monkeypatch.setattr(host.runner, "launch", launch)
    second = await host.launched(epoch=2, advance_ms=500)
    assert [process.is_alive, second.is_alive] == [False, True]


async def test_a_damaged_marker_holds_the_instance_up_with_the_reason(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.instances.checkpoint("instance-1", 1, "step-1", b"1")
    marker = process.spec.run_directory / "database-id"
    whole = marker.read_bytes()
    marker.write_bytes(b"\xff\xfe" * 16)
    process.end(-9)

    async def waits() -> Instance | None:
        instance = await host.instance()
        return instance if instance.error and "cannot prepare the launch" in instance.error else None

    instance = await host.until(waits, "the reason", advance_ms=500)
    assert not instance.status.is_terminal
    marker.write_bytes(whole)
    await host.register_guest(await host.launched(epoch=instance.epoch + 1, advance_ms=1_000))


async def test_a_launch_that_cannot_be_looked_at_is_adopted_a_moment_later(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await host.supervise(owner=host.owner(dead=True), lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await dead.close(stop_guests=False)
    attach, failures = host.runner.attach, 0

    async def attach_later(state: Mapping[str, Any]) -> LaunchedProcess | None:
        nonlocal failures
        if failures < 2:
            failures += 1
            raise NO_DESCRIPTOR
        return await attach(state)

    monkeypatch.setattr(host.runner, "attach", attach_later)
    successor = await host.supervise(lease_ms=LEASE_MS)

    async def is_watched() -> bool:
        return successor.live_count == 1

    await host.until(is_watched, "the adoption", advance_ms=500)
    assert (process.is_alive, failures, (await host.instance()).epoch) == (True, 2, 1)


async def test_a_takeover_that_goes_wrong_is_repeated(host: SupervisedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=0)
    is_dead, tried = adoption.is_dead, False

    def stumble_once(name: str) -> bool:
        nonlocal tried
        if not tried:
            tried = True
            raise NO_DESCRIPTOR
        return is_dead(name)

    monkeypatch.setattr(adoption, "is_dead", stumble_once)
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    await host.launched(advance_ms=500)


async def test_an_end_is_kept_until_core_takes_the_key_again(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    refused = asyncio.Event()

    async def refuse(*_: Any, **__: Any) -> Any:
        refused.set()
        raise UnauthenticatedError("the API key is not valid")

    with monkeypatch.context() as patched:
        for name in CoreManagement.__abstractmethods__:
            patched.setattr(host.service, name, refuse)
        process.end(-15, timed_out=True)
        await asyncio.wait_for(refused.wait(), 30)
        for _ in range(20):
            await host.pass_time(1_000)
        assert await host.rows()

    async def has_ended() -> Instance | None:
        instance = await host.instance()
        return instance if instance.status.is_terminal else None

    instance = await host.until(has_ended, "the end", advance_ms=500)
    assert (instance.epoch, instance.termination_reason) == (1, TerminationReason.TIMEOUT)


async def test_a_host_that_cannot_list_its_artifacts_is_there_and_is_drained(host: SupervisedHost) -> None:
    owner, hosts = host.owner(), HostTable(host.database)
    supervised = await host.supervise(owner=owner, lease_ms=LEASE_MS, starts=False)

    async def no_list() -> Any:
        raise StorageError("cannot list the artifacts: Input/output error")

    identity = HostIdentity(owner.host_id, owner.name, "worker", None, "0.1", "mock", "none")
    presence = HostPresence(hosts, identity, supervised, host.clock, no_list)
    await presence.start(None)
    await hosts.request_drain(owner.host_id, requested_at_ms=host.clock.now_ms(), drain_seconds=5)

    async def is_drained() -> bool:
        (row,) = await hosts.list_hosts(now_ms=host.clock.now_ms())
        return row.state is HostState.DRAINED

    await host.until(is_drained, "the drain", advance_ms=500)
    await presence.close()


async def test_a_process_that_does_not_die_gives_the_new_claim_back(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_PREDECESSOR_SECONDS", 0.05)
    owner = host.owner()
    await host.supervise(owner=owner, lease_ms=LEASE_MS, max_launches=2)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    process.immortal = True
    await host.storage.expire_leases(owner.name)

    async def waits() -> Instance | None:
        instance = await host.instance()
        return instance if instance.error and "does not die" in instance.error else None

    await host.until(waits, "the reason", advance_ms=500)
    assert host.runner.alive == [process]
    process.immortal = False
    process.end(-9)

    async def runs_again() -> bool:
        return bool(host.runner.alive)

    await host.until(runs_again, "another launch", advance_ms=1_000)


async def test_a_row_of_an_earlier_host_does_not_keep_a_stop_from_being_confirmed(host: SupervisedHost) -> None:
    owner, hosts = host.owner(), HostTable(host.database)
    identity = HostIdentity(owner.host_id, owner.name, "worker", None, "0.1", "mock", "none")
    await hosts.announce(identity, now_ms=host.clock.now_ms())
    await host.create()
    lost = "other-host/1/1/boot/x"
    await host.service.claim_launches(lost, limit=1, lease_ms=12_000)
    await host.launches.record_intent(
        Launch("instance-1", 1, lost, "other-host", "mock", "/r", {}, host.clock.now_ms())
    )
    host.clock.advance(13_000)
    await host.supervise(owner=owner, lease_ms=LEASE_MS)
    process = await host.launched(epoch=2, advance_ms=100)
    await host.register_guest(process)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await host.instances.acknowledge_signal("instance-1", 2, SignalType.CANCEL, None)
    process.end(0)

    async def only_the_row_of_the_lost_host_is_left() -> bool:
        return [row.epoch for row in await host.rows()] == [1]

    await host.until(only_the_row_of_the_lost_host_is_left, "the end of the launch")
    assert (await host.instance()).status is InstanceStatus.CANCELLED
    confirmed = asyncio.create_task(RemoteStop(host.service, host.launches, hosts, host.clock).confirm("instance-1", 1))

    async def is_confirmed() -> bool:
        await hosts.touch(
            owner.host_id, owner.name, state=HostState.ACTIVE, live_launches=0, now_ms=host.clock.now_ms()
        )
        return confirmed.done()

    await host.until(is_confirmed, "the answer", advance_ms=500)
    await confirmed


async def test_who_was_never_told_to_suspend_is_left_running(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervised = await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)

    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(host.service, "send_signal", hang)
    drain = asyncio.create_task(supervised.drain(5))

    async def is_over() -> bool:
        return drain.done()

    await host.until(is_over, "the drain", advance_ms=100)
    assert process.is_alive
    assert process.grace_seconds == []


def test_a_process_is_not_taken_for_dead_by_who_cannot_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptor(_: Path) -> bytes:
        raise NO_DESCRIPTOR

    monkeypatch.setattr(shim, "stat_fields", lambda _: None)
    assert process_identity.ProcessIdentity.of_pid(1) is None
    monkeypatch.setattr(Path, "read_bytes", no_descriptor)
    with pytest.raises(OSError, match="Too many open files"):
        process_identity.ProcessIdentity.of_pid(1)
