"""What a supervisor does with the launches of dead environments on its host."""

import errno
from typing import Any

import pytest
from runtara_core.models import CoreLimits, LaunchClaim
from runtara_environment.launch_table import Launch
from runtara_environment.owner import Owner
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import SupervisedHost
from runtara_sdk.errors import InvalidStateError, TransportError
from runtara_sdk.models import InstanceStatus, SignalType

LEASE_MS = 30_000


async def run_and_die(host: SupervisedHost, *, core_address: str = "127.0.0.1:8001") -> MockProcess:
    """An environment that launches the instance and dies; the process lives on."""
    doomed = await host.supervise(owner=host.owner(dead=True), core_address=core_address)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.until(lambda: _is_started(host), "recorded")
    await doomed.close(stop_guests=False)
    return process


async def _is_started(host: SupervisedHost) -> bool:
    return [row.phase for row in await host.rows()] == ["started"]


async def claim_as(host: SupervisedHost, owner: Owner, *, limit: int = 1) -> list[LaunchClaim]:
    return await host.storage.claim_launches(
        owner.name,
        instance_id=None,
        limit=limit,
        lease_ms=LEASE_MS,
        limits=CoreLimits(),
        now_ms=host.clock.now_ms(),
    )


async def is_owned_by(host: SupervisedHost, owner: Owner) -> bool:
    return [row.owner for row in await host.rows()] == [owner.name]


async def test_a_living_process_is_adopted(host: SupervisedHost) -> None:
    process = await run_and_die(host)
    owner = host.owner()
    await host.supervise(owner=owner)
    await host.until(lambda: is_owned_by(host, owner), "adopted")
    await host.pass_time(2 * LEASE_MS)
    instance = await host.instance()
    assert (instance.epoch, instance.lease_owner) == (1, owner.name)
    assert host.runner.alive == [process]
    assert process.grace_seconds == []
    await host.complete_guest(process)
    process.end(0)
    await host.settled(InstanceStatus.COMPLETED)


async def test_an_exit_that_nobody_saw_is_reported(host: SupervisedHost) -> None:
    process = await run_and_die(host)
    process.end(1)
    await host.supervise()
    await host.launched(epoch=2)
    assert (await host.instance()).recovery_attempts == 1


async def test_an_end_that_nobody_saw_is_reported(host: SupervisedHost) -> None:
    process = await run_and_die(host)
    await host.complete_guest(process)
    process.end(0)
    await host.supervise()
    assert (await host.settled(InstanceStatus.COMPLETED)).exit_code == 0


async def test_a_cancelled_instance_whose_process_and_environment_died(host: SupervisedHost) -> None:
    process = await run_and_die(host)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    process.end(-9)
    await host.supervise()
    await host.settled(InstanceStatus.CANCELLED)


async def test_what_was_intended_and_never_started_is_due_at_once(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=host.clock.now_ms())
    await host.create()
    (claim,) = await claim_as(host, dead)
    await host.launches.record_intent(
        Launch(
            instance_id="instance-1",
            epoch=claim.epoch,
            owner=dead.name,
            host_id=dead.host_id,
            runner_type="mock",
            run_directory="/run/instance-1",
            state={"run_directory": "/run/instance-1", "epoch": claim.epoch},
            created_at_ms=host.clock.now_ms(),
        )
    )
    await host.supervise()
    await host.launched(epoch=2)  # without any time passing
    assert (await host.instance()).recovery_attempts == 0
    assert [row.epoch for row in await host.rows()] == [2]


async def test_what_was_only_claimed_is_due_at_once(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=host.clock.now_ms())
    await host.create()
    await claim_as(host, dead)
    owner = host.owner()
    await host.supervise(owner=owner)
    await host.launched(epoch=2)  # without any time passing
    assert await host.launches.owners_of_host(dead.host_id) == [owner.name]


async def test_the_waiting_claim_of_a_dead_owner_gets_nothing(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=host.clock.now_ms())
    await host.supervise()
    await host.until(lambda: _only_living_owners(host, dead), "the dead owner is known")
    with pytest.raises(InvalidStateError, match="declared dead"):
        await host.service.claim_launches(dead.name, limit=1, lease_ms=LEASE_MS, wait_ms=60_000)


async def _only_living_owners(host: SupervisedHost, dead: Owner) -> bool:
    return dead.name not in await host.launches.owners_of_host(dead.host_id)


@pytest.mark.parametrize("verb", ["renew_leases", "report_exit", "expire_leases"])
async def test_core_away_in_the_middle_of_a_take_over(host: SupervisedHost, verb: str) -> None:
    process = await run_and_die(host)
    core = FailingOnce(host, verb)
    owner = host.owner()
    await host.supervise(owner=owner, core=core)
    await host.until(lambda: is_owned_by(host, owner), "taken over", advance_ms=10)
    await host.pass_time(2 * LEASE_MS)
    assert (await host.instance()).epoch == 1
    assert host.runner.alive == [process]
    await host.complete_guest(process)
    process.end(0)
    await host.settled(InstanceStatus.COMPLETED, advance_ms=100)
    assert core.failed


class FailingOnce:
    """A core that is away for the first call of one verb."""

    def __init__(self, host: SupervisedHost, verb: str) -> None:
        self._core = host.service
        self._verb = verb
        self.failed = False

    def __getattr__(self, name: str) -> object:
        verb = getattr(self._core, name)

        async def call(*arguments: object, **options: object) -> object:
            if name == self._verb and not self.failed:
                self.failed = True
                raise TransportError("core is away")
            return await verb(*arguments, **options)

        return call


async def test_a_stop_waits_for_the_take_over(host: SupervisedHost) -> None:
    process = await run_and_die(host)
    supervisor = await host.supervise()
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    assert await supervisor.stop_process("instance-1", grace_seconds=0.05)
    assert not process.is_alive
    await host.settled(InstanceStatus.CANCELLED)


async def test_a_program_that_cannot_reach_core_any_more_is_launched_again(host: SupervisedHost) -> None:
    process = await run_and_die(host, core_address="127.0.0.1:1111")
    await host.supervise(core_address="127.0.0.1:2222")
    second = await host.launched(epoch=2)
    assert not process.is_alive
    assert second.spec.environment["RUNTARA_SERVER_ADDR"] == "127.0.0.1:2222"
    assert (await host.instance()).recovery_attempts == 0


async def test_the_launches_of_a_living_owner_are_not_touched(host: SupervisedHost) -> None:
    neighbour = host.owner()
    await host.supervise(owner=neighbour)
    await host.create()
    process = await host.launched()
    await host.supervise()
    await host.pass_time(2 * LEASE_MS)
    assert await is_owned_by(host, neighbour)
    assert host.runner.alive == [process]
    assert (await host.instance()).epoch == 1


async def test_the_process_of_an_expired_launch_is_dead_before_its_successor_starts(host: SupervisedHost) -> None:
    # The owner dies while this supervisor runs already, so nothing is adopted, and its lease runs out.
    await host.supervise()
    dead = host.owner(dead=True)
    await host.create(quietly=True)
    (claim,) = await claim_as(host, dead)
    await host.launcher().launch(claim, dead)
    first = await host.launched()
    second = await host.launched(epoch=2, advance_ms=1_000)
    assert not first.is_alive
    assert host.runner.alive == [second]
    await host.until(lambda: _has_rows(host, [2]), "the old launch is forgotten")


async def _has_rows(host: SupervisedHost, epochs: list[int]) -> bool:
    return [row.epoch for row in await host.rows()] == epochs


async def test_of_two_launches_of_one_instance_the_newer_is_adopted(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.create()
    (claim,) = await claim_as(host, dead)
    await host.launcher().launch(claim, dead)
    host.clock.advance(LEASE_MS)
    (again,) = await claim_as(host, dead)
    await host.launcher().launch(again, dead)
    first, second = await host.launched(epoch=1), await host.launched(epoch=2)
    owner = host.owner()
    await host.supervise(owner=owner)
    await host.until(lambda: is_owned_by(host, owner), "adopted and cleaned up")
    assert not first.is_alive
    assert second.is_alive
    assert (await host.instance()).epoch == 2


async def test_only_instance_frees_nothing_of_others(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=host.clock.now_ms())
    await host.create("instance-1")
    await claim_as(host, dead)
    await host.create("instance-2")
    await host.supervise(only_instance="instance-2")
    await host.launched("instance-2")
    instance = await host.instance("instance-1")
    assert instance.lease_until_ms == host.clock.now_ms() + LEASE_MS
    assert dead.name in await host.launches.owners_of_host(dead.host_id)


async def test_only_instance_goes_on_with_its_own_at_once(host: SupervisedHost) -> None:
    dead = host.owner(dead=True)
    await host.launches.announce_owner(dead.name, dead.host_id, now_ms=host.clock.now_ms())
    await host.create("instance-1")
    await claim_as(host, dead)
    await host.supervise(only_instance="instance-1")
    await host.launched("instance-1", epoch=2)  # without any time passing


async def test_a_full_disk_does_not_fail_an_instance(host: SupervisedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = host.owner(dead=True)
    await host.create()
    (claim,) = await host.service.claim_launches(dead.name, limit=1, lease_ms=30_000)
    await host.launches.record_intent(
        Launch(
            instance_id="instance-1",
            epoch=claim.epoch,
            owner=dead.name,
            host_id=dead.host_id,
            runner_type="mock",
            run_directory="/run/instance-1",
            state={"run_directory": "/run/instance-1", "epoch": claim.epoch},
            created_at_ms=host.clock.now_ms(),
        )
    )

    async def disk_is_full(_state: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/run/instance-1")

    with monkeypatch.context() as patch:
        patch.setattr(host.runner, "attach", disk_is_full)
        await host.supervise()
        instance = await host.instance()
        for _ in range(8):
            epoch = instance.epoch

            async def was_tried(epoch: int = epoch) -> bool:
                nonlocal instance
                instance = await host.instance()
                return instance.epoch > epoch and instance.status is not InstanceStatus.RUNNING

            await host.until(was_tried, "tried again", advance_ms=5_000)
        assert instance.status is InstanceStatus.PENDING
        assert "No space left on device" in (instance.error or "")
        assert instance.recovery_attempts <= 1
        assert not host.runner.processes

    async def is_launched() -> bool:
        return bool(host.runner.processes)

    await host.until(is_launched, "launched", advance_ms=5_000)
