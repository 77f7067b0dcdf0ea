"""Run directories of instances that retention has removed."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_core.database import create_database
from runtara_core.models import Instance
from runtara_environment.environment import Environment
from runtara_environment.settings import SupervisionSettings
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision import run_directory_sweep
from runtara_environment.supervision.guest import CoreAccess
from runtara_environment.supervision.run_directory import choose_run_directory
from runtara_environment.supervision.run_directory_sweep import BATCH, INTERVAL_SECONDS, RunDirectorySweep
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import StorageError
from runtara_sdk.models import InstanceStatus, SignalType

HOUR_MS = INTERVAL_SECONDS * 1_000


@pytest.fixture
def sweep(host: SupervisedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectorySweep:
    monkeypatch.setattr(run_directory_sweep, "PAUSE_SECONDS", 0)  # time stands still during a walk
    return RunDirectorySweep(tmp_path, host.service, host.launches, host.clock)


async def walk_until_removed(host: SupervisedHost, sweep: RunDirectorySweep) -> int:
    """Two walks, an hour apart: the first one notices, the second one removes."""
    assert await sweep.sweep() == 0
    host.clock.advance(HOUR_MS)
    return await sweep.sweep()


async def run(host: SupervisedHost, instance_id: str) -> MockProcess:
    await host.create(instance_id)
    process = await host.launched(instance_id)
    await host.register_guest(process)
    return process


async def finish(host: SupervisedHost, process: MockProcess) -> Path:
    await host.complete_guest(process)
    process.end(0)
    await host.settled(InstanceStatus.COMPLETED, process.spec.instance_id)
    return process.spec.run_directory


async def remove_finished(host: SupervisedHost) -> None:
    await host.storage.delete_finished(finished_before_ms=host.clock.now_ms() + 1, limit=100)


async def test_what_retention_removed_loses_its_directory_and_nothing_else_does(
    host: SupervisedHost, sweep: RunDirectorySweep, tmp_path: Path
) -> None:
    await host.supervise()
    running = (await run(host, "running")).spec.run_directory
    to_finish = await run(host, "finished")
    gone = [await finish(host, await run(host, name)) for name in ("gone", "long.name-with-a-dot")]
    await remove_finished(host)
    finished = await finish(host, to_finish)
    await host.create("pending", quietly=True)
    database_id = await host.launches.database_id()
    pending = choose_run_directory(tmp_path, TENANT, "pending", database_id)
    foreign = choose_run_directory(tmp_path, TENANT, "foreign", "f" * 32)
    unknown = tmp_path / TENANT / "runs" / "unknown"
    unknown.mkdir()
    linked = tmp_path / TENANT / "runs" / "linked"
    linked.symlink_to(foreign)

    assert await walk_until_removed(host, sweep) == 2
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in (finished, running, pending, foreign, unknown, linked))
    assert {path.name for path in finished.parent.iterdir()} == {
        "finished",
        "running",
        "pending",
        "foreign",
        "unknown",
        "linked",
    }
    assert not list(finished.parent.glob("*/gone-since"))


async def test_nothing_goes_that_was_seen_gone_for_less_than_an_hour(
    host: SupervisedHost, sweep: RunDirectorySweep, tmp_path: Path
) -> None:
    directory = choose_run_directory(tmp_path, TENANT, "instance-1", await host.launches.database_id())
    assert await sweep.sweep() == 0
    host.clock.advance(HOUR_MS // 2)
    assert await sweep.sweep() == 0
    # It is there after all: as when the environment was pointed at the wrong core meanwhile.
    await host.create(quietly=True)
    assert await sweep.sweep() == 0
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await remove_finished(host)
    host.clock.advance(HOUR_MS // 2)
    assert await sweep.sweep() == 0
    assert directory.exists()
    host.clock.advance(HOUR_MS)
    assert await sweep.sweep() == 1
    assert not directory.exists()


async def test_a_process_that_outlives_its_instance_keeps_its_directory(
    host: SupervisedHost, sweep: RunDirectorySweep
) -> None:
    await host.supervise()
    process = await run(host, "instance-1")
    await host.complete_guest(process)
    await remove_finished(host)
    assert await walk_until_removed(host, sweep) == 0
    assert process.spec.run_directory.exists()
    process.end(0)

    async def reported() -> bool:
        return not await host.rows()

    await host.until(reported, "the launch is forgotten", advance_ms=1)
    assert await walk_until_removed(host, sweep) == 1


async def test_an_id_that_is_used_again_keeps_the_directory(
    host: SupervisedHost, sweep: RunDirectorySweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The new instance is created, and launched in the directory, just before that is put aside."""
    directory = choose_run_directory(tmp_path, TENANT, "instance-1", await host.launches.database_id())
    (directory / "workspace").mkdir()
    looked = 0
    get_instance = host.service.get_instance

    async def look(instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        nonlocal looked
        looked += 1
        instance = await get_instance(instance_id, tenant_id=tenant_id)
        if looked == 2:  # the last look before the rename
            await host.create(quietly=True)
        return instance

    monkeypatch.setattr(host.service, "get_instance", look)
    assert await walk_until_removed(host, sweep) == 0
    assert looked == 3
    assert (directory / "workspace").is_dir()
    assert [path.name for path in directory.parent.iterdir()] == ["instance-1"]


async def test_a_launch_after_the_rename_makes_a_directory_of_its_own(
    host: SupervisedHost, sweep: RunDirectorySweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database_id = await host.launches.database_id()
    directory = choose_run_directory(tmp_path, TENANT, "instance-1", database_id)
    (directory / "old").touch()
    looked = 0
    get_instance = host.service.get_instance

    async def look(instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        nonlocal looked
        looked += 1
        if looked == 3:  # after the rename
            await host.create(quietly=True)
            choose_run_directory(tmp_path, TENANT, "instance-1", database_id)
        return await get_instance(instance_id, tenant_id=tenant_id)

    monkeypatch.setattr(host.service, "get_instance", look)
    assert await walk_until_removed(host, sweep) == 0
    assert not (directory / "old").exists()
    # The other one waits aside until the instance is gone.
    assert len(list(directory.parent.iterdir())) == 2
    await host.service.send_signal("instance-1", SignalType.CANCEL)
    await remove_finished(host)
    assert await walk_until_removed(host, sweep) == 2
    assert not list(directory.parent.iterdir())


@pytest.mark.parametrize("after", [0, 1])
async def test_nothing_goes_while_core_does_not_answer(
    host: SupervisedHost, sweep: RunDirectorySweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: int
) -> None:
    directory = choose_run_directory(tmp_path, TENANT, "instance-1", await host.launches.database_id())
    assert await sweep.sweep() == 0
    host.clock.advance(HOUR_MS)
    answers = after

    async def fail(instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
        nonlocal answers
        answers -= 1
        if answers < 0:
            raise StorageError("core does not answer")
        return None

    with monkeypatch.context() as patched:
        patched.setattr(host.service, "get_instance", fail)
        with pytest.raises(StorageError):
            await sweep.sweep()
    assert directory.exists()
    removed = await sweep.sweep()  # what was noticed before may be known still
    host.clock.advance(HOUR_MS)
    assert removed + await sweep.sweep() == 1


async def test_a_directory_put_aside_by_a_walk_that_was_killed_is_found_again(
    host: SupervisedHost, sweep: RunDirectorySweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("gone", "back"):
        choose_run_directory(tmp_path, TENANT, name, await host.launches.database_id())
    assert await sweep.sweep() == 0
    host.clock.advance(HOUR_MS)

    def die(_directory: Path) -> None:
        raise OSError(5, "killed")

    with monkeypatch.context() as patched:
        patched.setattr(run_directory_sweep, "remove_tree", die)
        assert await sweep.sweep() == 0
    runs = tmp_path / TENANT / "runs"
    assert all(path.name.startswith(".gone-") for path in runs.iterdir())
    await host.create("back", quietly=True)
    assert await sweep.sweep() == 1
    assert [path.name for path in runs.iterdir()] == ["back"]


async def test_many_directories_are_taken_in_batches(
    host: SupervisedHost, sweep: RunDirectorySweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database_id = await host.launches.database_id()
    for number in range(2 * BATCH + 1):
        choose_run_directory(tmp_path, f"tenant-{number % 3}", f"instance-{number}", database_id)
    pauses = 0

    async def pause(seconds: float) -> None:
        nonlocal pauses
        pauses += 1

    monkeypatch.setattr(host.clock, "sleep", pause)
    assert await sweep.sweep() == 0
    assert pauses == 3
    host.clock.advance(HOUR_MS)
    assert await sweep.sweep() == 2 * BATCH + 1


async def test_an_environment_sweeps_by_itself(host: SupervisedHost, tmp_path: Path) -> None:
    directory = choose_run_directory(tmp_path, TENANT, "instance-1", await host.launches.database_id())
    environment = Environment(
        create_database(f"sqlite:///{tmp_path}/runtara.db", environment_queries()),
        host.service,
        CoreAccess("127.0.0.1:8001", tmp_path / "tls" / "ca.pem"),
        tmp_path,
        host.clock,
        SupervisionSettings(),
    )
    await environment.open()
    try:
        await environment.start()

        async def removed() -> bool:
            return not directory.exists()

        await host.until(removed, "the directory is removed", advance_ms=60_000)
    finally:
        await environment.close(stop_guests=True)
