"""The end of a container is told even where it cannot be kept, and what it was read from stays then."""

import json
import os
import time
from pathlib import Path
from typing import Literal

from runtara_environment import shim
from runtara_environment.runner import DEFAULT_TAIL_BYTES, LaunchedProcess, ProcessExit
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.oci.container_process import (
    EXCHANGE_FILE,
    ContainerPlace,
    ContainerProcess,
    remove_stale,
)
from runtara_environment.runners.oci.runtime import Runtime

RUNTIME = Runtime(Path("/does/not/exist"), use_systemd=False)


class EndedShim(LaunchedProcess):
    """The shim of a runtime that has ended."""

    @property
    def state(self) -> dict[str, object]:
        return {}

    async def wait(self) -> ProcessExit:
        return ProcessExit(0)

    async def stop(self, grace_seconds: float) -> ProcessExit:
        return await self.wait()

    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        return ""


async def test_an_end_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    directory = LaunchDirectory(tmp_path / "run", 1)
    directory.create()
    (directory.path / shim.EXIT_FILE).write_text("{}")
    no_room = directory.path / "container.json.tmp"  # what is here is no file: as on a full disk, nothing can be kept
    no_room.mkdir()
    bundles = tmp_path / "bundles"
    place = ContainerPlace(bundles / "no-such-container", RUNTIME, "/program")
    place.bundle.mkdir(parents=True)
    place.note_launch(directory)
    (place.bundle / EXCHANGE_FILE).write_text(json.dumps({"started": True, "exit_code": 3}) + "\n")

    for _ in range(2):  # the second asks as the next environment does
        ended = await ContainerProcess(place, directory, EndedShim()).wait()
        assert (ended.started, ended.exit_code) == (True, 3)
        assert place.bundle.is_dir()

    an_hour_ago, two_days_ago = time.time() - 3_600, time.time() - 172_800
    os.utime(place.bundle, (an_hour_ago, an_hour_ago))
    assert remove_stale(bundles, RUNTIME) == []
    os.utime(place.bundle, (two_days_ago, two_days_ago))
    assert remove_stale(bundles, RUNTIME) == [place.name]

    place.bundle.mkdir()
    (place.bundle / EXCHANGE_FILE).write_text(json.dumps({"started": True, "exit_code": 3}) + "\n")
    no_room.rmdir()
    for _ in range(2):
        ended = await ContainerProcess(place, directory, EndedShim()).wait()
        assert (ended.started, ended.exit_code) == (True, 3)
        assert not place.bundle.exists()
