"""The supervisor's own launches: claimed, started, watched, stopped; and a core that is away."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from runtara_core.management import CoreManagement
from runtara_core.models import CoreLimits, Instance, LeaseKey
from runtara_environment.runner import LaunchError, StopError
from runtara_environment.supervision import told_reasons
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import InstanceNotFoundError, TransportError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

LEASE_MS = 30_000


class UnreliableCore:
    """A core that fails the verbs named in `failing`, with the error given there; `pretending` ones do nothing."""

    def __init__(self, core: CoreManagement) -> None:
        self._core = core
        self.failing: dict[str, Exception] = {}
        self.failures: list[str] = []
        self.pretending: dict[str, Any] = {}

    def be_away(self) -> None:
        error = TransportError("core is away")
        self.failing = dict.fromkeys(CoreManagement.__abstractmethods__, error)

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._core, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            if name in self.failing:
                self.failures.append(name)
                raise self.failing[name]
            if name in self.pretending:
                return self.pretending[name]
            return await verb(*arguments, **options)

        return call


async def test_from_claim_to_completion(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    variables = process.spec.environment
    assert (variables["RUNTARA_INSTANCE_ID"], variables["RUNTARA_LAUNCH_EPOCH"]) == ("instance-1", "1")
    assert json.loads((process.spec.run_directory / "input.json").read_text()) == {"data": 1}
    (row,) = await host.rows()
    assert (row.epoch, row.runner_type) == (1, "mock")
    await host.register_guest(process)
    await host.complete_guest(process)
    process.end(0, memory_peak_bytes=7, cpu_usage_usec=8)
    instance = await host.settled(InstanceStatus.COMPLETED)
    assert instance.output == b'{"done": true}'
    assert (instance.exit_code, instance.memory_peak_bytes, instance.cpu_usage_usec) == (0, 7, 8)


async def test_a_crashed_program_is_launched_again(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    first = await host.launched()
    await host.register_guest(first)
    await host.instances.checkpoint("instance-1", 1, "step-1", b"1")
    first.stderr = "Traceback\nValueError: no"
    first.end(-11)
    second = await host.launched(epoch=2)
    assert second.spec.environment["RUNTARA_CHECKPOINT_ID"] == "step-1"
    assert second.spec.run_directory == first.spec.run_directory
    instance = await host.instance()
    assert (instance.status, instance.stderr) == (InstanceStatus.RUNNING, "Traceback\nValueError: no")


async def test_a_program_that_was_killed_for_want_of_memory_tells_so(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    process.stderr = "loading the table"
    process.end(-9, out_of_memory=True)
    await host.launched(epoch=2)
    stderr = (await host.instance()).stderr or ""
    assert stderr.splitlines()[0] == "loading the table"
    assert stderr.splitlines()[1].startswith("it needed more memory than its limit")


@pytest.mark.parametrize("exit_code", [3, 143])
async def test_exit_codes_of_an_interrupted_program_are_no_failure(host: SupervisedHost, exit_code: int) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    process.end(exit_code)
    await host.launched(epoch=2)
    assert (await host.instance()).status is InstanceStatus.RUNNING


async def test_a_program_beyond_its_timeout_fails_the_instance(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    process.end(-15, timed_out=True)
    instance = await host.settled(InstanceStatus.FAILED)
    assert instance.termination_reason is TerminationReason.TIMEOUT


async def test_a_failed_launch_is_tried_again_later_and_later(host: SupervisedHost) -> None:
    host.runner.launch_errors = [LaunchError("no room", permanent=False) for _ in range(3)]
    await host.supervise()
    await host.create()
    began_ms = host.clock.now_ms()
    await host.until(lambda: _has_epoch(host, 1), "claimed")
    instance = await host.settled(InstanceStatus.PENDING)
    assert instance.wake_at_ms == began_ms + CoreLimits().recovery.backoff_base_ms
    assert (instance.termination_reason, instance.error) == (TerminationReason.LAUNCH_FAILED, "no room")
    process = await host.launched(epoch=4, advance_ms=100)
    assert host.clock.now_ms() - began_ms >= 1_000 + 2_000 + 4_000
    await host.register_guest(process)
    assert (await host.instance()).started_at_ms is not None


async def test_why_an_instance_waits_is_logged_when_it_changes(
    host: SupervisedHost, caplog: pytest.LogCaptureFixture
) -> None:
    reasons = ("no room", "no room", "no room", "no disk", "no room")
    host.runner.launch_errors = [LaunchError(reason, permanent=False) for reason in reasons]
    await host.supervise()
    await host.create()
    process = await host.launched(epoch=6, advance_ms=1_000)
    host.runner.launch_errors = [LaunchError("no room", permanent=False)]
    process.end(1)
    await host.launched(epoch=8, advance_ms=1_000)
    told = [record.args for record in caplog.records if "cannot be launched" in record.msg]
    assert [args[1] for args in told if isinstance(args, tuple)] == ["no room", "no disk", "no room", "no room"]


async def test_only_so_many_reasons_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_reasons, "MAX_TOLD", 2)
    told = told_reasons.ToldReasons()
    assert [told.is_new(instance_id, "no room") for instance_id in ("a", "b", "a", "c", "a", "b")] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


async def test_what_is_not_on_this_host_is_left_to_others_for_a_while(host: SupervisedHost, tmp_path: Path) -> None:
    (artifact,) = tmp_path.rglob("artifact")
    artifact.rename(artifact.with_name("away"))
    await host.supervise()
    await host.create()

    async def waits() -> Instance | None:
        instance = await host.instance()
        return instance if instance.status is InstanceStatus.PENDING and instance.error else None

    instance = await host.until(waits, "given back")
    assert "is missing on this host" in instance.error
    # Due for whoever has it, at once; this host does not ask for it again yet.
    assert instance.wake_at_ms <= host.clock.now_ms()
    artifact.with_name("away").rename(artifact)
    process = await host.until(lambda: _a_process(host), "launched after all", advance_ms=100)
    # A claim that waited already when the first launch was refused may have brought it once more.
    assert process.spec.epoch in (2, 3)
    await host.register_guest(process)
    assert (await host.instance()).status is InstanceStatus.RUNNING


async def test_an_old_version_that_is_lost_holds_up_no_other(host: SupervisedHost, tmp_path: Path) -> None:
    (artifact,) = tmp_path.rglob("artifact")
    await host.create("old")
    artifact.unlink()
    await host.prepare(b"#!/bin/sh\n# the next version\n")
    await host.supervise()

    async def waits() -> Instance | None:
        instance = await host.instance("old")
        return instance if instance.error else None

    instance = await host.until(waits, "given back")
    assert instance.status is InstanceStatus.PENDING
    assert (instance.wake_at_ms or 0) > host.clock.now_ms()
    await host.create("new")
    # No time passes.
    assert (await host.launched("new")).is_alive


async def test_an_artifact_that_has_come_is_launched_soon(host: SupervisedHost, tmp_path: Path) -> None:
    (artifact,) = tmp_path.rglob("artifact")
    content = artifact.read_bytes()
    artifact.unlink()
    supervisor = await host.supervise()
    await host.create()

    async def is_left_to_others() -> bool:
        return (await host.instance()).error is not None

    async def is_launched() -> bool:
        return bool(host.runner.alive)

    await host.until(is_left_to_others, "given back")
    artifact.write_bytes(content)
    artifact.chmod(0o555)
    supervisor.expect_artifact((await host.instance()).image_id or "")
    came_ms = host.clock.now_ms()
    # A claim that was under way may have been handed it once more before.
    await host.until(is_launched, "launched", advance_ms=100)
    assert host.clock.now_ms() - came_ms <= 2_000


async def test_a_program_that_could_not_be_executed_is_a_failed_launch(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    process.end(None, started=False, error="cannot execute it: Cannot allocate memory")
    instance = await host.settled(InstanceStatus.PENDING)
    assert "Cannot allocate memory" in (instance.error or "")
    assert instance.recovery_attempts == 0


async def test_a_program_that_can_never_be_executed_fails_the_instance_at_once(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    process.end(None, started=False, error="cannot execute it: Exec format error", permanent=True)
    instance = await host.settled(InstanceStatus.FAILED)
    assert instance.termination_reason is TerminationReason.LAUNCH_FAILED
    assert "Exec format error" in (instance.error or "")


async def test_a_launch_that_can_never_work_fails_the_instance(host: SupervisedHost) -> None:
    host.runner.launch_errors = [LaunchError("no such limit", permanent=True)]
    await host.supervise()
    await host.create()
    instance = await host.settled(InstanceStatus.FAILED)
    assert (instance.termination_reason, instance.error) == (TerminationReason.LAUNCH_FAILED, "no such limit")


async def test_leases_are_renewed_as_long_as_the_process_lives(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.pass_time(4 * LEASE_MS)
    instance = await host.instance()
    assert (instance.epoch, instance.status) == (1, InstanceStatus.RUNNING)
    assert (instance.lease_until_ms or 0) > host.clock.now_ms()
    assert host.runner.alive == [process]


async def _hand_to_another(host: SupervisedHost) -> LeaseKey:
    """Another environment claims the launch, as it may when the lease has run out."""
    instance = await host.instance()
    now_ms = host.clock.now_ms()
    await host.storage.expire_leases(instance.lease_owner or "")
    (claim,) = await host.storage.claim_launches(
        "elsewhere", instance_id=None, limit=1, lease_ms=10 * LEASE_MS, limits=CoreLimits(), now_ms=now_ms
    )
    return LeaseKey(claim.instance_id, claim.epoch)


async def test_a_process_whose_lease_is_lost_is_stopped(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    key = await _hand_to_another(host)
    await host.until(lambda: _is_dead(process), "the old process is dead", advance_ms=1_000)
    await host.until(lambda: _no_rows(host), "its launch is forgotten")
    instance = await host.instance()
    assert (instance.epoch, instance.status, instance.lease_owner) == (
        key.epoch,
        InstanceStatus.RUNNING,
        "elsewhere",
    )


async def _is_dead(process: Any) -> bool:
    return not process.is_alive


async def _no_rows(host: SupervisedHost) -> bool:
    return not await host.rows()


async def test_a_program_that_has_reported_its_end_may_take_its_time_to_exit(host: SupervisedHost) -> None:
    await host.supervise(lease_ms=LEASE_MS)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.complete_guest(process)
    await host.pass_time(LEASE_MS // 3 * 2)
    assert process.is_alive
    # But not for ever.
    await host.until(lambda: _is_dead(process), "the lingering process is ended", advance_ms=1_000)
    instance = await host.settled(InstanceStatus.COMPLETED)
    assert instance.exit_code == -9


async def test_core_away_for_longer_than_the_lease_disturbs_nothing(host: SupervisedHost) -> None:
    core = UnreliableCore(host.service)
    await host.supervise(core=core, lease_ms=LEASE_MS, claim_wait_ms=1_000)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    core.be_away()
    await host.pass_time(3 * LEASE_MS)
    assert "renew_leases" in core.failures
    assert ((await host.instance()).lease_until_ms or 0) < host.clock.now_ms()
    core.failing = {}
    await host.pass_time(LEASE_MS)
    assert host.runner.alive == [process]
    instance = await host.instance()
    assert (instance.epoch, instance.status) == (1, InstanceStatus.RUNNING)
    assert (instance.lease_until_ms or 0) > host.clock.now_ms()


async def test_a_superseded_process_is_dead_before_its_successor_starts(host: SupervisedHost) -> None:
    core = UnreliableCore(host.service)
    await host.supervise(core=core, lease_ms=6_000)
    await host.create()
    first = await host.launched()
    first.immortal = True
    # As when this process was suspended with its machine: core hands us our own launch, whose lease has ended.
    core.pretending = {"renew_leases": []}
    await host.until(lambda: _has_epoch(host, 2), "claimed again", advance_ms=500)
    core.pretending = {}
    await host.until(lambda: _was_told_to_stop(first), "told to stop")
    await host.pass_time(3_000)
    assert host.runner.alive == [first]
    first.immortal = False
    second = await host.launched(epoch=2, advance_ms=500)
    assert host.runner.alive == [second]


async def _has_epoch(host: SupervisedHost, epoch: int) -> bool:
    return (await host.instance()).epoch == epoch


async def _a_process(host: SupervisedHost) -> Any:
    return next(iter(host.runner.processes.values()), None)


async def _was_told_to_stop(process: Any) -> bool:
    return bool(process.grace_seconds)


async def test_an_exit_is_reported_until_core_has_it(host: SupervisedHost) -> None:
    core = UnreliableCore(host.service)
    await host.supervise(core=core)
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.complete_guest(process)
    core.failing = {"report_exit": TransportError("core is away")}
    process.end(0)

    async def failed_thrice() -> bool:
        return core.failures.count("report_exit") >= 3

    await host.until(failed_thrice, "three attempts", advance_ms=100)
    assert len(await host.rows()) == 1
    core.failing = {}
    assert (await host.settled(InstanceStatus.COMPLETED, advance_ms=1_000)).exit_code == 0


async def test_the_exit_of_a_deleted_instance_is_forgotten(host: SupervisedHost) -> None:
    core = UnreliableCore(host.service)
    await host.supervise(core=core)
    await host.create()
    process = await host.launched()
    core.failing = {"report_exit": InstanceNotFoundError("instance instance-1 does not exist")}
    process.end(1)
    await host.until(lambda: _no_rows(host), "forgotten")


async def test_claiming_survives_what_nobody_foresaw(host: SupervisedHost) -> None:
    core = UnreliableCore(host.service)
    core.failing = {"claim_launches": KeyError("unforeseen")}
    await host.supervise(core=core)
    await host.create()

    async def failed_twice() -> bool:
        return core.failures.count("claim_launches") >= 2

    await host.until(failed_twice, "two attempts", advance_ms=100)
    core.failing = {}
    await host.launched(advance_ms=100)


async def test_stop_waits_for_a_program_that_obeys_the_signal(host: SupervisedHost) -> None:
    supervisor = await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    stop = asyncio.create_task(supervisor.stop_process("instance-1", grace_seconds=10))
    signal = (await host.instances.poll_signals("instance-1", 1, None)).signal
    assert signal is not None
    await host.instances.acknowledge_signal("instance-1", 1, SignalType.CANCEL, signal.signal_id)
    process.end(0)
    assert await stop
    assert process.grace_seconds == []
    assert (await host.settled(InstanceStatus.CANCELLED)).exit_code == 0


async def test_stop_kills_a_program_that_does_not_obey(host: SupervisedHost) -> None:
    supervisor = await host.supervise()
    await host.create()
    process = await host.launched()
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    assert await supervisor.stop_process("instance-1", grace_seconds=0.05)
    assert not process.is_alive
    instance = await host.settled(InstanceStatus.CANCELLED)
    assert instance.termination_reason is TerminationReason.CANCELLED


async def test_stop_says_so_when_the_process_does_not_die(host: SupervisedHost) -> None:
    supervisor = await host.supervise()
    await host.create()
    process = await host.launched()
    process.immortal = True
    with pytest.raises(StopError):
        await supervisor.stop_process("instance-1", grace_seconds=0.05)
    assert (await host.instance()).status is InstanceStatus.RUNNING


async def test_stop_of_what_does_not_run_here(host: SupervisedHost) -> None:
    supervisor = await host.supervise()
    assert not await supervisor.stop_process("nobody", grace_seconds=0.05)


async def test_a_cancelled_instance_whose_program_died_is_cancelled(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    process.end(-9)
    await host.settled(InstanceStatus.CANCELLED)


async def test_closing_with_guests_parks_them_all_at_once(host: SupervisedHost) -> None:
    supervisor = await host.supervise()
    names = [await host.create(f"instance-{number}") for number in range(1, 4)]
    processes = [await host.launched(name) for name in names]
    host.runner.hold.clear()  # one that is still being launched
    await host.create("instance-4")

    async def has_four() -> bool:
        return supervisor.live_count == 4

    await host.until(has_four, "four launches")
    closing = asyncio.create_task(supervisor.close(stop_guests=True))
    await host.until(lambda: _is_dead(processes[-1]), "stopped")
    host.runner.hold.set()
    await closing
    assert not host.runner.alive
    for name in [*names, "instance-4"]:
        instance = await host.instance(name)
        assert (instance.status, instance.wake_at_ms) == (InstanceStatus.SUSPENDED, host.clock.now_ms())
        assert instance.termination_reason is TerminationReason.SHUTDOWN_REQUESTED
        assert instance.recovery_attempts == 0
        assert not await host.rows(name)
    assert await host.launches.owners_of_host(host.owner().host_id) == []


async def test_only_instance_leaves_others_alone(host: SupervisedHost) -> None:
    await host.create("instance-1")
    await host.create("instance-2")
    await host.supervise(only_instance="instance-2")
    await host.launched("instance-2")
    await host.pass_time(LEASE_MS)
    assert {process.spec.instance_id for process in host.runner.processes.values()} == {"instance-2"}
    assert (await host.instance("instance-1")).status is InstanceStatus.PENDING


async def _keys(launches: Sequence[Any]) -> list[LeaseKey]:
    return [LeaseKey(launch.instance_id, launch.epoch) for launch in launches]


async def test_what_a_run_was_given_is_its_owners_alone(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    run_directory = (await host.launched()).spec.run_directory
    for name, mode in ((".", 0o700), ("workspace", 0o700), ("input.json", 0o600)):
        assert (run_directory / name).stat().st_mode & 0o777 == mode, name


async def test_tenants_have_run_directories_of_their_own(host: SupervisedHost) -> None:
    await host.supervise()
    await host.create()
    process = await host.launched()
    assert process.spec.run_directory.parts[-3:] == (TENANT, "runs", "instance-1")
    assert await _keys(await host.rows()) == [LeaseKey("instance-1", 1)]
