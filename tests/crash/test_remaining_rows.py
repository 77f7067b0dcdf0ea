"""Rows of the crash-point table (specification of the platform, 12.9) that need a program of their own.

CONTRIBUTING.md has the table of all rows and their tests.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.models import InstanceStatus, SignalType

PROGRAM = Path(__file__).with_name("programs") / "rows.py"
TENANT = "demo"
GET_PROGRESS = "runtara_core.instance_service:InstanceService.get_progress"
STORE = "runtara_environment.registry.artifact_store:ArtifactStore._take_place"
REGISTRY = "runtara_environment.registry.image_registry:ImageRegistry.register"
QUICK = {"RUNTARA_SIGNAL_POLL_INTERVAL_MS": "20", "RUNTARA_HEARTBEAT_INTERVAL_MS": "0"}
PARKS = {**QUICK, "RUNTARA_SLEEP_THRESHOLD": "0.1"}

Platform = Any
Service = Any
Losses = Any


async def start(platform: Platform, row: str, directory: Path, env: dict[str, str] = QUICK, **more: Any) -> str:
    envelope = {"row": row, "directory": str(directory), **more}
    instance_id: str = await platform.start(PROGRAM, envelope, env=env)
    return instance_id


async def finish(platform: Platform, instance_id: str, output: Any, *, epoch: int) -> Any:
    info = await platform.ended(instance_id)
    assert (info.status, info.output) == (InstanceStatus.COMPLETED, output), platform.transcript()
    assert info.epoch == epoch
    return info


async def marked(platform: Platform, path: Path) -> None:
    async def exists() -> bool:
        return path.exists()

    await platform.eventually(exists, f"the mark {path.name}")


async def suspended(platform: Platform, instance_id: str) -> None:
    async def is_suspended() -> bool:
        return bool(await platform.status(instance_id) == "suspended")

    await platform.eventually(is_suspended, "a suspended instance")
    await without_process(platform, instance_id)


async def without_process(platform: Platform, instance_id: str) -> None:
    async def no_launch() -> bool:
        return not await platform.fetch(f"SELECT epoch FROM launches WHERE instance_id = '{instance_id}'")

    await platform.eventually(no_launch, "no launch")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


async def test_row_5_killed_between_the_work_and_its_record(each_platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(each_platform, "effect", tmp_path)
    await finish(each_platform, instance_id, "paid", epoch=2)
    # At least once, and the outside can tell that it was the same.
    assert lines(tmp_path / "effects") == [f"{instance_id}/step::pay"] * 2


async def test_row_7_attempts_are_counted_over_a_kill(each_platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(each_platform, "attempts", tmp_path)
    info = await each_platform.ended(instance_id)
    assert (info.status, info.epoch) == (InstanceStatus.FAILED, 2), each_platform.transcript()
    # Four attempts, of which the killed one was repeated; from 1 again it would have been six.
    assert len(lines(tmp_path / "attempts")) == 5
    rows = await each_platform.fetch(
        f"SELECT attempt_number FROM retry_attempts WHERE instance_id = '{instance_id}' ORDER BY attempt_number"
    )
    assert [row[0] for row in rows] == [2, 3, 4]
    events = await each_platform.fetch(
        f"SELECT id FROM instance_events WHERE instance_id = '{instance_id}' AND subtype = 'retry_attempt'"
    )
    assert len(events) == len(rows), "an attempt that is recorded is shown, once"


async def test_row_15_killed_with_the_custom_signal_in_hand(each_platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(each_platform, "received", tmp_path)
    await each_platform.progressed(instance_id, 1)
    await each_platform.persist(lambda sdk: sdk.send_custom_signal(instance_id, "news", b"hello"))
    await finish(each_platform, instance_id, "hello", epoch=2)
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("signal_type", [SignalType.CANCEL, SignalType.PAUSE])
async def test_row_16_killed_after_the_acknowledgement(
    each_platform: Platform, tmp_path: Path, signal_type: SignalType
) -> None:
    instance_id = await start(each_platform, "acknowledged", tmp_path)
    await each_platform.progressed(instance_id, 1)
    await each_platform.persist(lambda sdk: sdk.send_signal(instance_id, signal_type))
    await marked(each_platform, tmp_path / "died")
    await without_process(each_platform, instance_id)
    if signal_type is SignalType.CANCEL:
        info = await each_platform.ended(instance_id)
        assert (info.status, info.epoch) == (InstanceStatus.CANCELLED, 1)
        return
    assert await each_platform.status(instance_id) == "suspended"
    await each_platform.persist(lambda sdk: sdk.resume_instance(instance_id))
    await finish(each_platform, instance_id, "resumed", epoch=2)  # and is not paused again


async def test_row_17_cancelled_between_the_last_poll_and_the_park(each_platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(each_platform, "parked", tmp_path, PARKS)
    await marked(each_platform, tmp_path / "polled")
    await each_platform.persist(lambda sdk: sdk.send_signal(instance_id, SignalType.CANCEL))
    (tmp_path / "go").touch()
    info = await each_platform.ended(instance_id)  # long before the sleep would be over
    assert (info.status, info.epoch) == (InstanceStatus.CANCELLED, 1)


async def test_row_17_told_between_the_last_poll_and_the_park(each_platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(each_platform, "parked_for_signal", tmp_path, PARKS)
    await marked(each_platform, tmp_path / "polled")
    await each_platform.persist(lambda sdk: sdk.send_custom_signal(instance_id, "news", b"hello"))
    (tmp_path / "go").touch()
    await finish(each_platform, instance_id, "hello", epoch=1)


@pytest.mark.parametrize(
    ("at", "when"),
    [
        pytest.param(STORE, "before", id="nothing_stored"),
        pytest.param(STORE, "after", id="files_without_a_row"),
        pytest.param(REGISTRY, "after", id="registered_and_the_answer_lost"),
    ],
)
async def test_row_21_killed_while_the_image_is_replaced(
    platform: Platform, tmp_path: Path, at: str, when: str
) -> None:
    name = f"replaced-{tmp_path.name}"

    async def register(source: Path) -> Any:
        return await platform.persist(lambda sdk: sdk.register_image_stream(TENANT, name, source))

    async def begin(image: Any) -> str:
        envelope = {"row": "version", "directory": str(tmp_path), "kept": "input"}
        started = await platform.persist(
            lambda sdk: sdk.start_instance(image.image_id, TENANT, input_envelope=envelope, env=PARKS)
        )
        await suspended(platform, started.instance_id)
        return str(started.instance_id)

    async def wake(instance_id: str) -> None:
        await platform.persist(lambda sdk: sdk.send_custom_signal(instance_id, "news", b"wake"))

    second = tmp_path / "second.py"
    second.write_text(PROGRAM.read_text().replace("VERSION = 1", "VERSION = 2"))
    old = await begin(await register(PROGRAM))
    await platform.replace("environment", at=at, when=when)
    registering = asyncio.create_task(register(second))
    await platform.died("environment")
    await platform.start_environment()
    new = await begin(await registering)
    # The one that sleeps wakes with what it was started with.
    for instance_id, version in ((old, 1), (new, 2)):
        await wake(instance_id)
        await finish(platform, instance_id, {"version": version, "input": "input"}, epoch=2)


async def test_row_22_a_suspended_instance_keeps_its_files(own_platform: Platform, tmp_path: Path) -> None:
    platform = own_platform
    platform.set_variable("RUNTARA_DB_CLEANUP_POLL_INTERVAL_SECS", "1")
    platform.set_variable("RUNTARA_DB_CLEANUP_MAX_AGE_DAYS", "1")
    await platform.ensure_running()
    instance_id = await start(platform, "version", tmp_path, PARKS, kept="input")
    other = await start(platform, "effect", tmp_path)
    await platform.ended(other)
    await suspended(platform, instance_id)
    platform.kill("environment")
    platform.kill("core")
    platform.change("UPDATE instances SET created_at_ms = 0, started_at_ms = 0")
    platform.change("UPDATE instances SET finished_at_ms = 1 WHERE finished_at_ms IS NOT NULL")
    await platform.start_core()
    await platform.start_environment()

    async def other_is_removed() -> bool:
        return not await platform.fetch(f"SELECT 1 FROM instances WHERE instance_id = '{other}'")

    await platform.eventually(other_is_removed, "the removal of what has ended long ago")
    run_directory = platform.data_dir / TENANT / "runs" / instance_id
    assert "input" in (run_directory / "input.json").read_text()
    assert (run_directory / "launch-1" / "stdout.log").read_text() == "version 1\n"
    await platform.persist(lambda sdk: sdk.send_custom_signal(instance_id, "news", b"wake"))
    await finish(platform, instance_id, {"version": 1, "input": "input"}, epoch=2)


async def test_row_23_a_failed_lookup_repeats_no_work(platform: Platform, tmp_path: Path) -> None:
    instance_id = await start(platform, "lookup", tmp_path, {**QUICK, "RUNTARA_RECONNECT_DEADLINE_MS": "300"})
    await marked(platform, tmp_path / "recorded")
    await platform.replace("core", at=GET_PROGRESS, when="before")
    first = await platform.running_guest(instance_id)
    assert first.kill_program()
    await platform.died("core")  # at the lookup of the second launch
    second = await platform.running_or_ended_guest(instance_id, above_epoch=1)

    async def has_given_up() -> bool:
        return not second.program.is_alive

    await platform.eventually(has_given_up, "a program that gives up for want of an answer")
    assert len(lines(tmp_path / "effects")) == 1
    await platform.start_core()
    await finish(platform, instance_id, "done", epoch=3)
    assert len(lines(tmp_path / "effects")) == 1


async def test_row_24_two_processes_write_one_checkpoint(own_platform: Platform, tmp_path: Path) -> None:
    """The first process is frozen, its environment dies, and another host starts the second one."""
    platform = own_platform
    platform.lease_ms = 10_000
    await platform.ensure_running()
    instance_id = await start(platform, "same", tmp_path)
    await marked(platform, tmp_path / "ready-1")
    first = await platform.running_guest(instance_id)
    assert first.send(signal.SIGSTOP)
    platform.kill("environment")
    await platform.start_other_host()
    await marked(platform, tmp_path / "ready-2")
    (tmp_path / "go-2").touch()

    async def second_has_written() -> bool:
        return (tmp_path / "answers").exists()

    await platform.eventually(second_has_written, "the checkpoint of the second process")
    (tmp_path / "go-1").touch()
    first.send(signal.SIGCONT)

    async def first_is_gone() -> bool:
        return not first.program.is_alive

    await platform.eventually(first_is_gone, "the end of the first process")
    assert lines(tmp_path / "answers")[0] == "2"
    assert lines(tmp_path / "answers")[1:] in ([], ["InstanceSuperseded"])
    rows = await platform.fetch(f"SELECT state FROM checkpoints WHERE instance_id = '{instance_id}'")
    assert [bytes(row[0]) for row in rows] == [b"2"]
    await platform.start_environment()
    await finish(platform, instance_id, "2", epoch=2)
