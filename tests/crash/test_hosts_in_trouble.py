"""A host loses its power again and again, its pids come back as somebody else's, and its disk is full."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting_service import CountingService
from crash_platform import Platform
from processes import Guest
from runtara_sdk.models import InstanceStatus
from strangers import Strangers

INSTANCES = 3
ORDERS = 24
WIPES = 2
PROGRAM = Path(__file__).with_name("programs") / "short.py"


@pytest.fixture
def strangers() -> Iterator[Strangers]:
    made = Strangers()
    yield made
    made.close()


@pytest.fixture
def small_data_directory(own_platform: Platform) -> Iterator[Path]:
    """The data directory of `own_platform` on a disk of 8 MiB; the database lies elsewhere."""
    directory = own_platform.data_dir
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8M", "tmpfs", directory], check=True)
    yield directory
    own_platform.close()
    subprocess.run(["umount", "--lazy", directory], check=True)


async def wipe(platform: Platform, instance_ids: list[str]) -> list[Guest]:
    """SIGKILL to all processes of the host at once; returns those of the launches."""
    guests = [guest for each in instance_ids if (guest := platform.guest(each)) is not None]
    platform.kill("environment")
    platform.kill("core")
    for guest in guests:
        guest.kill_program()
        guest.kill_shim()

    async def all_gone() -> bool:
        return not any(guest.shim.is_present or (guest.program and guest.program.is_present) for guest in guests)

    await platform.eventually(all_gone, "the end of all processes")
    return guests


@pytest.mark.privileged
async def test_the_power_fails_again_and_again_and_pids_are_given_to_strangers(
    own_platform: Platform, service: CountingService, strangers: Strangers
) -> None:
    platform = own_platform
    await platform.ensure_running()
    instance_ids = [await platform.start_batch(service, orders=ORDERS) for _ in range(INSTANCES)]
    taken = kills = 0
    for number in range(1, WIPES + 1):
        for each in instance_ids:
            await platform.progressed(each, 8 * number)
        daemons = [daemon.pid for daemon in (platform.core, platform.environment) if daemon is not None]
        guests = await wipe(platform, instance_ids)
        kills += len(guests)
        programs = [guest.program.pid for guest in guests if guest.program is not None]
        taken += strangers.take({*daemons, *programs, *(guest.shim.pid for guest in guests)})
        # The environment looks for what it left, finds strangers, and is killed in the middle of it.
        await asyncio.gather(platform.start_core(), platform.start_environment(serves=False))
        platform.kill("environment")
        await platform.start_environment()
    assert taken >= WIPES, "hardly any pid was to be had: nothing was tested"
    for each in instance_ids:
        info = await platform.ended(each)
        assert (info.status, info.output) == (InstanceStatus.COMPLETED, {"processed": ORDERS}), platform.transcript()
        rows = await platform.fetch(
            f"SELECT COUNT(*) FROM instance_events WHERE instance_id = '{each}' AND event_type = 'completed'"
        )
        assert rows[0][0] == 1
    assert strangers.all_alive
    counts = service.counts()
    assert set(counts) == {f"order-{number}" for number in range(ORDERS)}
    # A launch that was killed may have sent one order that it had not recorded yet.
    assert INSTANCES * ORDERS <= sum(counts.values()) <= INSTANCES * ORDERS + kills


@pytest.mark.privileged
async def test_a_full_disk_holds_launches_up_and_ends_no_instance(
    own_platform: Platform, small_data_directory: Path, tmp_path: Path
) -> None:
    platform = own_platform
    await platform.ensure_running()
    gate, witness, ballast = tmp_path / "gate", tmp_path / "witness", small_data_directory / "ballast"
    env = {"SHORT_GATE": str(gate), "SHORT_WITNESS": str(witness)}
    running = await platform.start(PROGRAM, {}, env=env)
    await platform.running_guest(running)
    fill(ballast)
    waiting = await platform.start(PROGRAM, {}, env=env)

    async def waits_with_the_reason() -> bool:
        async with platform.sdk() as sdk:
            info = await sdk.get_instance_status(waiting)
        return info.error is not None and "No space left on device" in info.error.text

    await platform.eventually(waits_with_the_reason, "a launch that waits for room")
    # What runs already ends, and its end is known: room for it was kept.
    gate.touch()
    ended = await platform.ended(running)
    assert (ended.status, ended.exit_code, ended.epoch) == (InstanceStatus.COMPLETED, 0, 1)
    # Nor does an environment that comes up meanwhile lose it.
    await platform.replace("environment")
    ballast.unlink()
    ended = await platform.ended(waiting)
    assert (ended.status, ended.exit_code) == (InstanceStatus.COMPLETED, 0)
    assert sorted(witness.read_text().split()) == sorted([running, waiting])
    half_written = ("*.tmp", ".input.json.*", "database-id.*", "instance-id.*")
    left = [path.name for pattern in half_written for path in small_data_directory.rglob(pattern)]
    assert not left, "half-written files of launches that had no room"


def fill(path: Path) -> None:
    """Take all the room of a disk."""
    block = bytes(4096)
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(block) == len(block):
                pass
        except OSError:
            return
