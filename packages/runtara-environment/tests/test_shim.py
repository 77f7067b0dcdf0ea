"""The shim on its own terms: what happens when parts of a launch are killed or raced."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.runner import LaunchedProcess, LaunchSpec, Limits
from runtara_environment.runners import native, process_identity
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.native import NativeRunner
from runtara_environment.testing.runner_suite import WAIT_SECONDS, read_pid, until

READY = "import os, pathlib, signal, sys, time; pathlib.Path('ready').write_text(str(os.getpid()))\n"
FOREVER = "while True: time.sleep(60)\n"


def process_is_alive(pid: int) -> bool:
    """Whether a process runs, zombies excepted."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    processes: list[LaunchedProcess] = []

    async def start(code: str, **changes: Any) -> LaunchedProcess:
        values: dict[str, Any] = {"epoch": 1, "environment": {}, "run_directory": tmp_path}
        argv = (sys.executable, "-I", "-S", "-c", code)
        spec = LaunchSpec(instance_id="i-1", tenant_id="t-1", argv=argv, **values | changes)
        process = await NativeRunner().launch(spec)
        processes.append(process)
        return process

    yield start
    for process in processes:
        await process.stop(0)


async def test_killed_shim_takes_program_and_grandchildren_down(launch: Callable[..., Any], tmp_path: Path) -> None:
    code = (
        "import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        "    pathlib.Path('grandchild').write_text(str(os.getpid()))\n"
        "else:\n"
        "    pathlib.Path('child').write_text(str(os.getpid()))\n"
        "while True: time.sleep(60)\n"
    )
    process = await launch(code)
    pids = [await until(partial(read_pid, tmp_path / name), name) for name in ("child", "grandchild")]
    await until(lambda: "child_pid" in (tmp_path / "launch-1/shim.json").read_text(), "claim names the program")
    os.kill(process.state["pid"], signal.SIGKILL)
    end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
    assert (end.exit_code, end.started, end.memory_peak_bytes) == (None, True, None)
    await until(lambda: not any(process_is_alive(pid) for pid in pids), "all dead")


async def test_exit_is_unknown_when_shim_and_exit_file_are_gone(launch: Callable[..., Any], tmp_path: Path) -> None:
    process = await launch(READY + FOREVER)
    await until(lambda: read_pid(tmp_path / "ready"), "program runs")
    os.kill(process.state["pid"], signal.SIGKILL)
    await process.wait()
    adopted = await NativeRunner().attach(process.state)
    assert adopted is not None
    assert (await adopted.wait()).exit_code is None


async def test_stopped_shim_is_forced(
    launch: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_KILL_TIMEOUT_SECONDS", 0.1)
    process = await launch(READY + FOREVER)
    pid = await until(lambda: read_pid(tmp_path / "ready"), "program runs")
    os.kill(process.state["pid"], signal.SIGSTOP)
    assert (await process.stop(0.1)).exit_code is None
    await until(lambda: not process_is_alive(pid), "program dead")


async def test_a_launch_that_was_given_up_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = LaunchDirectory.create

    def create_and_lose(self: LaunchDirectory) -> None:
        create(self)
        assert self.give_up()  # another daemon settles the launch before the shim comes

    monkeypatch.setattr(LaunchDirectory, "create", create_and_lose)
    spec = LaunchSpec("i-1", "t-1", 1, ("/bin/touch", str(tmp_path / "started")), {}, tmp_path)
    process = await NativeRunner().launch(spec)
    end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
    assert not end.started
    assert "given up" in (end.error or "")
    assert not (tmp_path / "started").exists()
    assert await NativeRunner().attach(process.state) is None


async def test_give_up_loses_against_a_claim(launch: Callable[..., Any], tmp_path: Path) -> None:
    await launch(READY + FOREVER)
    await until(lambda: read_pid(tmp_path / "ready"), "program runs")
    assert not LaunchDirectory(tmp_path, 1).give_up()


async def test_without_pidfd(launch: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(process_identity.os, "pidfd_open", refuse)
    process = await launch(READY + FOREVER)
    await until(lambda: read_pid(tmp_path / "ready"), "program runs")
    adopted = await NativeRunner().attach(process.state)
    assert adopted is not None
    assert (await adopted.stop(10)).exit_code == -signal.SIGTERM


async def test_files_of_a_launch(launch: Callable[..., Any], tmp_path: Path) -> None:
    process = await launch("pass")
    await process.wait()
    names = sorted(path.name for path in (tmp_path / "launch-1").iterdir())
    assert names == ["exit.json", "shim.json", "shim.log", "stderr.log", "stdout.log"]
    assert (tmp_path / "launch-1").stat().st_mode & 0o077 == 0
    claim = json.loads((tmp_path / "launch-1/shim.json").read_text())
    assert claim["epoch"] == 1
    assert claim["pid"] == process.state["pid"]
    assert claim["start_time"] == process.state["pid_start_time"]


async def test_program_has_session_and_default_signals(launch: Callable[..., Any]) -> None:
    code = (
        "import os, re\n"
        "status = open('/proc/self/status').read()\n"
        "masks = {name: int(mask, 16) for name, mask in re.findall(r'(Sig\\w+):\\s*([0-9a-f]+)', status)}\n"
        "print(os.getpid() == os.getsid(0) == os.getpgid(0), masks['SigBlk'])\n"
        "print('NoNewPrivs:\\t1' in status)\n"
    )
    process = await launch(code)
    await process.wait()
    assert await process.output_tail("stdout") == "True 0\nTrue\n"


async def test_unusable_limit_is_named(launch: Callable[..., Any]) -> None:
    maximum = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = await launch("pass", limits=Limits(open_files=max(maximum, 1 << 30) * 4))
    end = await process.wait()
    assert not end.started
    assert "set the limits of" in (end.error or "")


async def test_damaged_exit_file_is_an_unknown_exit(launch: Callable[..., Any], tmp_path: Path) -> None:
    process = await launch("pass")
    await process.wait()
    (tmp_path / "launch-1/exit.json").write_text('{"started": tr')
    adopted = await NativeRunner().attach(process.state)
    assert adopted is not None
    end = await adopted.wait()
    assert (end.exit_code, end.started) == (None, True)


@pytest.mark.parametrize("name", ["exit.json.tmp", "shim.json.tmp"])
async def test_a_full_disk_refuses_the_launch_before_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    create = LaunchDirectory.create

    def create_without_room(self: LaunchDirectory) -> None:
        create(self)
        (self.path / name).symlink_to("/dev/full")

    monkeypatch.setattr(LaunchDirectory, "create", create_without_room)
    spec = LaunchSpec("i-1", "t-1", 1, ("/bin/touch", str(tmp_path / "started")), {}, tmp_path)
    process = await NativeRunner().launch(spec)
    end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
    assert (end.started, end.permanent) == (False, False)
    assert "No space left" in (end.error or "")
    assert not (tmp_path / "started").exists()


async def test_a_shim_that_could_not_even_complain_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk its log stays empty."""
    directory = LaunchDirectory(tmp_path, 1)
    directory.create()
    known = os.statvfs(tmp_path)
    monkeypatch.setattr(native.os, "statvfs", lambda _: os.statvfs_result((*known[:4], 0, *known[5:])))
    end = await native.NativeProcess(directory, None, None, "/program").wait()
    assert not end.started
    assert "no space left" in (end.error or "")
