"""The shim on its own terms: what happens when parts of a launch are killed or raced."""

import asyncio
import contextlib
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
from runtara_environment.runner import LaunchedProcess, LaunchSpec, Limits, StopError
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


async def test_a_stopped_shim_goes_on(launch: Callable[..., Any], tmp_path: Path) -> None:
    process = await launch(READY + FOREVER)
    pid = await until(lambda: read_pid(tmp_path / "ready"), "program runs")
    os.kill(process.state["pid"], signal.SIGSTOP)
    assert (await process.stop(WAIT_SECONDS)).exit_code == -signal.SIGTERM
    assert not process_is_alive(pid)


@pytest.fixture
async def hanging(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """What stands for a shim that reacts to nothing but SIGKILL."""
    code = READY.replace("pathlib.Path", "signal.pthread_sigmask(signal.SIG_BLOCK, {10, 15}); pathlib.Path") + FOREVER
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", code, cwd=tmp_path)
    try:
        await until(lambda: read_pid(tmp_path / "ready"), "it hangs")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def process_of(shim: asyncio.subprocess.Process, directory: LaunchDirectory) -> native.NativeProcess:
    identity = process_identity.ProcessIdentity.of_pid(shim.pid)
    assert identity is not None
    return native.NativeProcess(directory, identity, process_identity.ProcessHandle.open(identity), "/program")


async def test_a_shim_that_hangs_before_its_claim_is_killed(
    hanging: asyncio.subprocess.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_KILL_TIMEOUT_SECONDS", 0.1)
    directory = LaunchDirectory(tmp_path, 1)
    directory.create()
    end = await process_of(hanging, directory).stop(0)
    assert (end.started, end.exit_code) == (False, None)
    assert "given up" in (end.error or "")
    assert not process_is_alive(hanging.pid)


@pytest.mark.parametrize("is_program_alive", [True, False])
async def test_a_shim_that_has_claimed_is_never_killed(
    hanging: asyncio.subprocess.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_program_alive: bool
) -> None:
    """It may be about to find what the program has detached; the end is reported once it is there."""
    monkeypatch.setattr(native, "_KILL_TIMEOUT_SECONDS", 0.1)
    directory = LaunchDirectory(tmp_path, 1)
    directory.create()
    program = process_identity.ProcessIdentity.of_pid(os.getpid())
    assert program is not None
    claim = {"pid": hanging.pid, "start_time": 1, "boot_id": program.boot_id, "child_pid": program.pid}
    claim["child_start_time"] = program.start_time + (0 if is_program_alive else 1)
    (directory.path / "shim.json").write_text(json.dumps(claim))
    process = process_of(hanging, directory)
    words = "does not die" if is_program_alive else "not all that it has started"
    for _ in range(2):
        with pytest.raises(StopError, match=words) as raised:
            await process.stop(0.1)
        assert str(directory.path) in raised.value.message
        assert str(hanging.pid) in raised.value.message
    assert process_is_alive(hanging.pid)
    report = {"started": True, "exit_code": 3, "timed_out": False, "memory_peak_bytes": 1, "cpu_usage_usec": 1}
    (directory.path / "exit.json").write_text(json.dumps(report))
    hanging.kill()
    assert (await process.stop(0)).exit_code == 3


async def test_a_launch_without_its_directory_gets_no_new_one(
    hanging: asyncio.subprocess.Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows then whether the shim has started its program."""
    monkeypatch.setattr(native, "_KILL_TIMEOUT_SECONDS", 0.1)
    directory = LaunchDirectory(tmp_path, 1)
    with pytest.raises(StopError):
        await process_of(hanging, directory).stop(0)
    assert process_is_alive(hanging.pid)
    assert not directory.path.exists()


async def test_what_did_not_die_is_looked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = LaunchDirectory(tmp_path, 1)
    directory.create()
    claim = {"pid": 1, "start_time": 1, "boot_id": "", "child_pid": 1, "child_start_time": 1}
    (directory.path / "shim.json").write_text(json.dumps(claim))
    process = native.NativeProcess(directory, None, None, "/program")
    with monkeypatch.context() as patched:
        patched.setattr(native, "kill_leftovers", lambda *_, **__: False)
        for each in (process.wait(), process.stop(0), process.stop(1)):
            with pytest.raises(StopError, match="survive their shim"):
                await each
    assert (await process.stop(0)).exit_code is None


async def test_a_program_that_hangs_on_its_way_to_exec_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = LaunchDirectory.create

    def create_with_a_pipe(self: LaunchDirectory) -> None:
        create(self)
        os.mkfifo(self.path / "stdout.log")  # nobody reads it, so that opening it waits

    monkeypatch.setattr(LaunchDirectory, "create", create_with_a_pipe)
    spec = LaunchSpec("i-1", "t-1", 1, ("/bin/touch", str(tmp_path / "started")), {}, tmp_path)
    process = await NativeRunner().launch(spec)
    await until((tmp_path / "launch-1/shim.json").exists, "the shim has claimed")
    assert (await process.stop(0)).exit_code == -signal.SIGKILL
    assert not (tmp_path / "started").exists()


SWEEP = """
import os, sys, time
from runtara_environment import shim
for is_direct in (True, False):
    if os.fork() == 0:
        os.setsid()
        if is_direct or os.fork() == 0:
            time.sleep(0.5)
        os._exit(0)
CHANGES
began, used = time.monotonic(), time.process_time()
shim.ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
shim._Sweep().run()
print(time.monotonic() - began, time.process_time() - used)
"""
UNKILLABLE = "os.kill = os.killpg = lambda *_: None"
LISTED = """
real, listed = open, "LISTED"
shim.open = lambda path, *rest: real(listed if path.endswith("/children") else path, *rest)
with real(listed, "w") as file: file.write(" ".join(str(pid) for pid in range(os.getpid(), os.getpid() + 50)) + " ")
"""


async def sweep(changes: str) -> tuple[float, float]:
    """How long a sweep took, and its processor time, in seconds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SWEEP.replace("CHANGES", changes), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 0
    took, used = output.split()
    return float(took), float(used)


async def test_a_sweep_waits_for_what_does_not_die_and_rests_meanwhile() -> None:
    took, used = await sweep(UNKILLABLE)
    assert took > 0.3
    assert used < took / 2


@pytest.mark.parametrize(
    "changes",
    [
        "shim._candidates = lambda: []",
        "shim._Sweep._newest_number = lambda self: 0",
        "shim._take_precedence = lambda: None",
        "shim._HOLD_CYCLE_SECONDS = 1",
        "shim.int = lambda value: 1 if isinstance(value, float) else int(value)",
    ],
    ids=["nothing can be listed", "no newest number", "no precedence", "the dead are never held", "always held"],
)
async def test_a_sweep_ends_whatever_the_kernel_offers(changes: str) -> None:
    await sweep(changes)


async def test_children_that_the_kernel_lists_are_killed(tmp_path: Path) -> None:
    listed = LISTED.replace("LISTED", str(tmp_path / "children"))
    took, _ = await sweep(listed + "os.listdir = None")
    assert took < 0.4


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
