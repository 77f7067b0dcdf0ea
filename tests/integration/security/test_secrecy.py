"""A token is for its program alone: no row, event, log, output or command line shows it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runtara_environment.launch_table import LaunchTable

from .running_platform import SLEEPER, Platform, running_platform, until

LEAKY = b'#!/bin/sh\nenv > "$RUNTARA_WORKSPACE_DIR/variables"\necho "token $RUNTARA_INSTANCE_TOKEN" >&2\nexit 3\n'


async def test_the_token_is_for_the_program_alone(open_platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    sdk = open_platform.management(None)
    image = await sdk.register_image("tenant-a", "leaky", LEAKY)
    await sdk.start_instance(image.image_id, "tenant-a", instance_id="leaky")

    async def has_ended() -> bool:
        info = await sdk.get_instance_status("leaky")
        return info.stderr is not None

    await until(has_ended, "an exit")
    runs = open_platform.data_dir / "tenant-a" / "runs" / "leaky"
    variables = (runs / "workspace" / "variables").read_text()
    token = next(line for line in variables.splitlines() if line.startswith("RUNTARA_INSTANCE_TOKEN=rti1."))
    token = token.partition("=")[2]
    info = await sdk.get_instance_status("leaky")
    assert info.stderr == "token [redacted]\n"
    events = await sdk.list_events("leaky")
    assert "rti1." not in f"{info!r} {events!r}"
    assert token not in caplog.text
    assert "RUNTARA_API_KEY" not in variables
    assert not (runs / "launch-1" / "spec.bin").exists()


async def test_a_running_launch_keeps_the_token_from_rows_and_command_lines(tmp_path: Path) -> None:
    async with running_platform(tmp_path, with_keys=False) as platform:
        sdk = platform.management(None)
        image = await sdk.register_image("tenant-a", "sleeper", SLEEPER)
        await sdk.start_instance(image.image_id, "tenant-a", instance_id="sleeper")

        async def processes() -> list[Path]:
            found = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit() and _names(folder, tmp_path)]
            return [folder for folder in found if b"RUNTARA_INSTANCE_TOKEN=rti1." in _read(folder / "environ")]

        (program,) = await until(processes, "the program")
        assert b"rti1." not in _read(program / "cmdline")
        assert (program / "environ").stat().st_mode & 0o077 == 0
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid():
                assert b"rti1." not in _read(folder / "cmdline")
        launches = LaunchTable(platform.environment._environment._database)
        rows = await launches.of_host((tmp_path / "host-id").read_text().strip())
        assert len(rows) == 1
        assert "rti1." not in repr(rows)
        await sdk.stop_instance("sleeper", grace_period_seconds=1)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _names(folder: Path, directory: Path) -> bool:
    return str(directory).encode() in _read(folder / "environ")
