"""Retries and forks under a supervisor: processes that linger, images that are gone, files that are copied."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from runtara_environment.restarts import Restarts
from runtara_environment.supervision.workspaces import Workspaces
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import ImageNotFoundError, InstanceNotFoundError, InvalidInputError, ServerError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus


@pytest.fixture
def restarts(host: SupervisedHost, tmp_path: Path) -> Restarts:
    return Restarts(host.service, host.registry, Workspaces(tmp_path, host.launches))


async def fail(host: SupervisedHost, process: MockProcess) -> None:
    event = InstanceEvent(EventType.FAILED, b"no")
    await host.instances.report_event(process.spec.instance_id, process.spec.epoch, event)


async def run_and_fail(host: SupervisedHost) -> MockProcess:
    """An instance that has failed, and whose process has ended."""
    await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    await fail(host, process)
    process.end(1)
    await host.settled(InstanceStatus.FAILED)
    return process


async def test_a_retried_instance_is_launched_at_once(host: SupervisedHost, restarts: Restarts) -> None:
    first = await run_and_fail(host)
    await restarts.retry_instance("instance-1", tenant_id=TENANT)
    again = await host.launched(epoch=3)
    assert again.spec.run_directory == first.spec.run_directory
    await host.register_guest(again)
    await host.complete_guest(again)
    again.end(0)
    assert (await host.settled(InstanceStatus.COMPLETED)).output == b'{"done": true}'


async def test_a_process_that_lingers_ends_before_its_successor_begins(
    host: SupervisedHost, restarts: Restarts
) -> None:
    await host.supervise()
    await host.create()
    lingering = await host.launched()
    await host.register_guest(lingering)
    await fail(host, lingering)
    await restarts.retry_instance("instance-1")
    again = await host.launched(epoch=3)
    assert not lingering.is_alive
    await host.register_guest(again)
    await host.complete_guest(again)
    again.end(0)
    await host.settled(InstanceStatus.COMPLETED)


async def test_what_no_host_could_launch_is_refused(host: SupervisedHost, restarts: Restarts) -> None:
    await run_and_fail(host)
    with pytest.raises(InstanceNotFoundError):
        await restarts.retry_instance("instance-1", tenant_id="another")
    with pytest.raises(InstanceNotFoundError):
        await restarts.fork_instance("instance-1", tenant_id="another")
    with pytest.raises(ImageNotFoundError):
        await restarts.fork_instance("instance-1", image_id="unknown")
    for empty in ({"image_id": ""}, {"from_step": ""}):
        with pytest.raises(InvalidInputError, match="must not be empty"):
            await restarts.fork_instance("instance-1", **empty)
    assert (await host.instance()).status is InstanceStatus.FAILED


async def test_a_fork_has_the_files_of_its_origin_before_it_is_launched(
    host: SupervisedHost, restarts: Restarts
) -> None:
    origin = (await run_and_fail(host)).spec.run_directory / "workspace"
    (origin / "in").mkdir()
    (origin / "in" / "order.txt").write_text("kept")
    (origin / "link").symlink_to("in/order.txt")
    (origin / ".partial").mkdir()
    (origin / ".partial" / "half").write_text("half-written")
    fork = await restarts.fork_instance("instance-1", instance_id="fork-1")
    workspace = (await host.launched("fork-1")).spec.run_directory / "workspace"
    assert (workspace / "in" / "order.txt").read_text() == "kept"
    assert (workspace / "link").is_symlink()
    assert not (workspace / ".partial").exists()
    assert stat.S_IMODE(workspace.stat().st_mode) == 0o700
    # Made again, it changes nothing.
    (workspace / "in" / "order.txt").write_text("changed")
    again = await restarts.fork_instance("instance-1", instance_id="fork-1")
    assert (fork.deduplicated, again.deduplicated) == (False, True)
    assert (workspace / "in" / "order.txt").read_text() == "changed"


async def test_a_fork_whose_files_cannot_be_copied_waits_for_them(
    host: SupervisedHost, restarts: Restarts, tmp_path: Path
) -> None:
    origin = (await run_and_fail(host)).spec.run_directory / "workspace"
    (origin / "order.txt").write_text("kept")
    runs = tmp_path / TENANT / "runs"
    (runs / "fork-1").write_text("in the way")
    with pytest.raises(ServerError, match="fork-1 waits for them"):
        await restarts.fork_instance("instance-1", instance_id="fork-1")
    fork = await host.instance("fork-1")
    assert (fork.status, fork.wake_at_ms) == (InstanceStatus.PENDING, None)
    (runs / "fork-1").unlink()
    assert (await restarts.fork_instance("instance-1", instance_id="fork-1")).deduplicated
    workspace = (await host.launched("fork-1")).spec.run_directory / "workspace"
    assert (workspace / "order.txt").read_text() == "kept"
