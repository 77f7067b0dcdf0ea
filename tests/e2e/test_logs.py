"""The output of programs, read while they run: over relaunches, restarts of the daemon, and by whom it concerns."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import InstanceNotFoundError, LogsNotFoundError
from runtara_sdk.management import ManagementSdk

from tests.containers import container_runtime as container_runtime

TENANT = "demo"
WAIT_SECONDS = 60

PROGRAM = """#!/usr/bin/env python3
import asyncio, os, sys
from pathlib import Path
from runtara_sdk import RuntaraSdk

async def main():
    async with RuntaraSdk.from_env() as sdk:
        epoch = os.environ["RUNTARA_LAUNCH_EPOCH"]
        print(f"launch {epoch} begins", flush=True)
        if await sdk.get_checkpoint("crashed") is None:
            await sdk.checkpoint("crashed", b"1")
            print("dies", file=sys.stderr, flush=True)
            os._exit(7)
        print("\\x1b[2Jred \\u202e\\u00e9", flush=True)
        while not Path("workspace/go").exists():
            await asyncio.sleep(0.05)
        print("ends", flush=True)
        await sdk.completed({})

asyncio.run(main())
"""
EXPECTED = "launch 1 begins\nlaunch 2 begins\n\x1b[2Jred \u202e\u00e9\nends\n"


async def start(sdk: Any) -> str:
    image = await sdk.register_image(TENANT, "talker", PROGRAM.encode())
    instance_id = f"talker-{uuid.uuid4().hex[:8]}"
    await sdk.start_instance(image.image_id, TENANT, instance_id=instance_id)
    return instance_id


async def until(condition: Any) -> Any:
    async with asyncio.timeout(WAIT_SECONDS):
        while not (value := await condition()):
            await asyncio.sleep(0.05)
    return value


async def second_launch_talks(sdk: Any, instance_id: str) -> None:
    async def talks() -> bool:
        piece = await sdk.read_logs(instance_id, stream="stdout", wait_ms=1_000)
        return piece.epoch == 2 and "red" in piece.data.decode()

    await until(talks)


def let_go(product: Any, instance_id: str) -> None:
    (product.data_dir / TENANT / "runs" / instance_id / "workspace" / "go").touch()


async def followed(sdk: Any, instance_id: str, **options: Any) -> list[Any]:
    return [piece async for piece in sdk.follow_logs(instance_id, stream="stdout", epoch=1, **options)]


@pytest.mark.parametrize("daemons", ["sqlite"], indirect=True)
async def test_output_is_followed_over_launches_until_the_end(daemons) -> None:
    product = daemons.product
    async with daemons.sdk() as sdk:
        instance_id = await start(sdk)
        following = asyncio.create_task(followed(sdk, instance_id))
        await second_launch_talks(sdk, instance_id)
        first = await sdk.read_logs(instance_id, stream="stderr", epoch=1)
        assert (first.data, first.ended, first.next_epoch, first.dropped) == (b"dies\n", True, 2, False)
        last = await sdk.read_logs(instance_id, stream="stdout", tail_lines=1)
        assert (last.epoch, last.ended, last.data.decode()) == (2, False, "\x1b[2Jred \u202e\u00e9\n")
        rest = await sdk.read_logs(instance_id, stream="stdout", offset=last.next_offset)
        assert (rest.data, rest.ended, rest.offset) == (b"", False, last.next_offset)

        with pytest.raises(InstanceNotFoundError):
            await tenant_of(sdk, "somebody").read_logs(instance_id)
        with pytest.raises(InstanceNotFoundError):
            await sdk.read_logs("nobody")
        with pytest.raises(LogsNotFoundError):
            await sdk.read_logs(instance_id, epoch=9)

        let_go(product, instance_id)
        pieces = await asyncio.wait_for(following, WAIT_SECONDS)
        assert b"".join(piece.data for piece in pieces).decode() == EXPECTED
        assert (pieces[-1].epoch, pieces[-1].ended, pieces[-1].status) == (2, True, "completed")
        assert [piece.epoch for piece in pieces] == sorted(piece.epoch for piece in pieces)

    printed = product.run("runtara-ctl", "logs", instance_id, "--stream", "both", "--epoch", "1")
    assert printed.stdout == "stdout | launch 1 begins\nstderr | dies\n", printed
    raw = product.run("runtara-ctl", "logs", instance_id, "--stream", "stdout", "--tail", "2")
    assert raw.stdout == "\x1b[2Jred \u202e\u00e9\nends\n", raw
    shown = on_terminal(product, "logs", instance_id, "--stream", "stdout", "--tail", "2")
    assert shown.replace("\r\n", "\n") == "\\x1b[2Jred \\u202e\u00e9\nends\n"
    ended = product.ctl("status", instance_id)
    assert ended["stderr"] is None or "dies" in ended["stderr"]


def tenant_of(sdk: Any, tenant_id: str) -> Any:
    """The same connection, for a tenant."""
    return ManagementSdk(replace(sdk.settings, tenant_id=tenant_id), client=sdk._client)


def on_terminal(product: Any, *words: str) -> str:
    """What `runtara-ctl` prints where standard output is a terminal."""
    reader, writer = pty.openpty()
    command = [str(Path(sys.executable).parent / "runtara-ctl"), *words]
    subprocess.run(command, stdout=writer, env=product.env, cwd=product.directory, timeout=WAIT_SECONDS, check=True)
    os.close(writer)
    said = b""
    try:
        while chunk := os.read(reader, 4096):
            said += chunk
    except OSError:  # the end of a terminal
        pass
    finally:
        os.close(reader)
    return said.decode()


async def test_a_killed_environment_is_waited_for_while_a_container_is_followed(
    sqlite_daemons, product, container_runtime
) -> None:
    # Programs in containers have their output in the same files.
    daemons = sqlite_daemons(RUNTARA_OCI_RUNTIME=container_runtime, RUNTARA_RUNNER="oci", RUNTARA_NETWORK_MODE="host")
    async with daemons.sdk() as sdk:
        instance_id = await start(sdk)
        await second_launch_talks(sdk, instance_id)
        following = product.start("runtara-ctl", "logs", instance_id, "--stream", "stdout", "--epoch", "1", "-f")
        await asyncio.to_thread(following.wait_for, "red")
        daemons.environment.stop(signal.SIGKILL)
        let_go(product, instance_id)
        await asyncio.to_thread(daemons.start_environment)
        finished = await asyncio.to_thread(following.finish)
        assert finished.exit_code == 0, finished
        assert finished.stdout == EXPECTED
        assert finished.stderr == "--- launch 2\n"
