"""Retries and forks under a supervisor: processes that linger, images that are gone, files that are copied."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.inputs import InputJudge
from runtara_environment.restarts import Restarts
from runtara_environment.supervision.workspaces import Workspaces
from runtara_environment.testing.mock_runner import MockProcess
from runtara_environment.testing.supervised_host import TENANT, SupervisedHost
from runtara_sdk.errors import (
    ImageNotFoundError,
    InputRefusedError,
    InstanceNotFoundError,
    InvalidInputError,
    ServerError,
)
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus


@pytest.fixture
def restarts(host: SupervisedHost, tmp_path: Path) -> Restarts:
    return Restarts(host.service, host.registry, Workspaces(tmp_path, host.launches), InputJudge())


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


def compiled(scenario_id: str, **manifest: Any) -> bytes:
    """An artifact that says it is compiled of this scenario."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        document = {"scenario": {"id": scenario_id}, **manifest}
        archive.writestr(zipfile.ZipInfo("runtara-manifest.json"), json.dumps(document))
        archive.writestr(zipfile.ZipInfo("__main__.py"), "")
    return content.getvalue()


async def registered(host: SupervisedHost, artifact: bytes) -> str:
    return (await host.registry.register(tenant_id=TENANT, name="another", artifact=artifact)).image_id


async def fail_after(host: SupervisedHost, checkpoint_id: str | None) -> None:
    """An instance that has failed after it recorded a step."""
    await host.supervise()
    await host.create()
    process = await host.launched()
    await host.register_guest(process)
    if checkpoint_id is not None:
        await host.instances.checkpoint("instance-1", 1, checkpoint_id, b"done")
    await fail(host, process)
    process.end(1)
    await host.settled(InstanceStatus.FAILED)


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("is_told", [True, False])
async def test_an_image_of_another_scenario_would_not_find_the_checkpoints(
    host: SupervisedHost, restarts: Restarts, dry_run: bool, is_told: bool
) -> None:
    # One that an earlier version has registered has no scenario in its row; its checkpoints tell it.
    await host.prepare(compiled("orders") if is_told else b"#!/bin/sh\n")
    await fail_after(host, "orders::instance-1::agent::http::http-request::first")
    image_id = await registered(host, compiled("orders-two"))
    with pytest.raises(InvalidInputError) as refused:
        await restarts.fork_instance("instance-1", instance_id="fork-1", image_id=image_id, dry_run=dry_run)
    assert refused.value.message == (
        "the checkpoints of instance instance-1 are those of the scenario 'orders'; "
        f"image {image_id} is compiled of the scenario 'orders-two' and would not find them: "
        "compile the new version with --scenario orders"
    )
    assert await host.storage.get_instance("fork-1") is None


@pytest.mark.parametrize(
    ("checkpoint_id", "artifact"),
    [
        ("orders::instance-1::agent::first", compiled("orders", more=1)),
        ("orders::instance-1::agent::first", b"#!/bin/sh\necho\n"),
        (None, compiled("orders-two")),
    ],
    ids=["the same scenario", "a program written by hand", "nothing to copy"],
)
async def test_a_fork_to_another_image_that_loses_nothing_is_accepted(
    host: SupervisedHost, restarts: Restarts, checkpoint_id: str | None, artifact: bytes
) -> None:
    await host.prepare(compiled("orders"))
    await fail_after(host, checkpoint_id)
    image_id = await registered(host, artifact)
    await restarts.fork_instance("instance-1", instance_id="fork-1", image_id=image_id)
    assert (await host.instance("fork-1")).image_id == image_id
    # A fork that was accepted stays so, whatever its image is now.
    assert await registered(host, compiled("something-else", inputSchema=WANTS_WHO)) == image_id
    assert (await restarts.fork_instance("instance-1", instance_id="fork-1", image_id=image_id)).deduplicated


WANTS_WHO = {"who": {"type": "string", "required": True}}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_the_input_of_the_origin_must_fit_another_image(
    host: SupervisedHost, restarts: Restarts, dry_run: bool
) -> None:
    await host.prepare(compiled("orders"))
    await fail_after(host, None)
    image_id = await registered(host, compiled("orders", inputSchema=WANTS_WHO))
    with pytest.raises(InputRefusedError, match="the input does not fit its schema"):
        await restarts.fork_instance("instance-1", instance_id="fork-1", image_id=image_id, dry_run=dry_run)
    assert await host.storage.get_instance("fork-1") is None
