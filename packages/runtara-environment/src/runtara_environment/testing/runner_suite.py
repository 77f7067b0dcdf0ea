"""What every runner must do, as tests: subclass `RunnerConformance` and override the `runner` fixture.

    class TestMyRunner(RunnerConformance):
        @pytest.fixture
        def runner(self) -> Runner:
            return MyRunner()

Programs are Python code run by `self.python` (override it where the interpreter of the tests is not reachable); they
report through files in their run directory. Nothing sleeps for a fixed time: everything is a wait for a condition.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from runtara_environment.runner import (
    LaunchedProcess,
    LaunchError,
    LaunchSpec,
    Limits,
    Runner,
)

WAIT_SECONDS = 60.0

_SIGN = (
    "import fcntl, os, pathlib, signal, sys, time\n"
    "def sign(name):\n"
    "    global signed\n"
    "    signed = open(name, 'w')\n"
    "    fcntl.flock(signed, fcntl.LOCK_EX)\n"
    "    print(os.getpid(), file=signed, flush=True)\n"
)
"""Write a file that says that a process runs, and hold its lock until the process is dead.

A process id would say nothing: a program may live in a process namespace of its own.
"""
_READY = f"{_SIGN}sign('ready')\n"
_FOREVER = "while True: time.sleep(60)\n"

_LAUNCH_AND_HANG = """
import asyncio, importlib, json, pathlib, sys
from runtara_environment.runner import LaunchSpec
async def main():
    module, name, argv, directory, forget = json.loads(sys.argv[1])  # forget: false, true or "at once"
    runner = getattr(importlib.import_module(module), name)()
    spec = LaunchSpec("i-1", "t-1", 1, tuple(argv), {}, pathlib.Path(directory))
    planned = runner.planned_state(spec)
    if forget == "at once":
        print(json.dumps(planned), flush=True)
    process = await runner.launch(spec)
    print(json.dumps(planned if forget else process.state), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`; fails after `WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {WAIT_SECONDS} s"
        await asyncio.sleep(0.01)
    return value


def is_alive(path: Path) -> bool:
    """Whether the process that signed a file, as `_SIGN` does, runs."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read_pid(path: Path) -> int:
    """The pid in a file that a program writes, 0 while it has not."""
    text = path.read_text() if path.exists() else ""
    return int(text) if text else 0


def _mentioned_by_a_process(text: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                return True
    return False


class RunnerConformance:
    """The suite; tests are independent of each other."""

    python: str = sys.executable

    @pytest.fixture
    def runner(self) -> Runner:
        """The runner under test."""
        raise NotImplementedError

    @pytest.fixture
    def run_directory(self, tmp_path: Path) -> Path:
        """A run directory of its own for each test."""
        return tmp_path / "run"

    @pytest.fixture
    async def launched(self) -> AsyncIterator[list[LaunchedProcess]]:
        """Launches of the test, killed at its end."""
        processes: list[LaunchedProcess] = []
        yield processes
        for process in processes:
            await process.stop(0)

    def spec(self, run_directory: Path, code: str, **changes: Any) -> LaunchSpec:
        """A launch of Python code."""
        values: dict[str, Any] = {
            "instance_id": "i-1",
            "tenant_id": "t-1",
            "epoch": 1,
            "argv": (self.python, "-I", "-S", "-c", code),
            "environment": {},
            "run_directory": run_directory,
        }
        return LaunchSpec(**values | changes)

    async def test_probe_is_available(self, runner: Runner) -> None:
        probe = await runner.probe()
        assert probe.available, probe.reason
        assert probe.isolation
        assert all(item.available or item.reason for item in probe.capabilities.values())

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    async def test_exit_code(self, runner: Runner, run_directory: Path, code: int) -> None:
        process = await runner.launch(self.spec(run_directory, f"raise SystemExit({code})"))
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert (end.exit_code, end.started, end.timed_out) == (code, True, False)
        assert await process.wait() == end

    async def test_resource_usage(self, runner: Runner, run_directory: Path) -> None:
        code = "block = bytearray(64 << 20)\nfor number in range(2_000_000): pass"
        process = await runner.launch(self.spec(run_directory, code))
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert end.exit_code == 0
        assert end.memory_peak_bytes is not None
        assert 64 << 20 < end.memory_peak_bytes < 256 << 20
        assert end.cpu_usage_usec is not None
        assert end.cpu_usage_usec > 10_000

    async def test_processor_time_of_a_running_program(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        launched.append(await runner.launch(self.spec(run_directory, "while True: pass")))
        process = launched[0]
        if await process.cpu_usage_usec() is None:
            pytest.skip("this runner cannot say it: a program that is silent counts as idle")
        async with asyncio.timeout(WAIT_SECONDS):
            while (await process.cpu_usage_usec() or 0) < 50_000:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.02)

    async def test_death_by_signal(self, runner: Runner, run_directory: Path) -> None:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        process = await runner.launch(self.spec(run_directory, code))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == -signal.SIGSEGV

    async def test_missing_program(self, runner: Runner, run_directory: Path) -> None:
        argv = ("/does/not/exist",)
        try:
            process = await runner.launch(self.spec(run_directory, "", argv=argv))
        except LaunchError as error:
            message: str | None = error.message
        else:
            end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
            assert not end.started
            message = end.error
        assert "/does/not/exist" in (message or "")

    @pytest.mark.parametrize(
        ("content", "mode", "reason"),
        [
            (b"#!/does/not/exist\n", 0o755, "interpreter"),
            (b"\x7fELF but not really", 0o755, "format"),
            (b"#!/bin/sh\n", 0o644, "ermission"),
        ],
    )
    async def test_a_program_that_can_never_be_executed_is_a_permanent_failure(
        self, runner: Runner, run_directory: Path, tmp_path: Path, content: bytes, mode: int, reason: str
    ) -> None:
        program = tmp_path / "program"
        program.write_bytes(content)
        program.chmod(mode)
        try:
            process = await runner.launch(self.spec(run_directory, "", argv=(str(program),)))
        except LaunchError as error:
            message, permanent = error.message, error.permanent
        else:
            end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
            assert not end.started
            message, permanent = end.error or "", end.permanent
        assert permanent
        assert reason in message

    async def test_output_tail(self, runner: Runner, run_directory: Path) -> None:
        code = "import sys; print('to stdout'); sys.stderr.write('x' * 20000 + 'last words \\u00e9'); sys.exit(3)"
        process = await runner.launch(self.spec(run_directory, code, environment={"PYTHONIOENCODING": "utf-8"}))
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert await process.output_tail("stdout") == "to stdout\n"
        tail = await process.output_tail("stderr", limit_bytes=100)
        assert tail.endswith("xlast words \u00e9")
        assert len(tail.encode()) <= 100

    async def test_output_is_bounded_and_does_not_block(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        code = f"{_READY}for number in range(200_000): sys.stderr.write(f'line {{number:06d}}\\n')\nsys.exit(0)"
        limits = Limits(output_bytes=64 * 1024)
        process = await runner.launch(self.spec(run_directory, code, limits=limits))
        launched.append(process)
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        kept = await process.output_tail("stderr", limit_bytes=10 * 1024 * 1024)
        assert len(kept) <= limits.output_bytes
        assert kept.endswith("line 199999\n")

    async def test_environment_is_the_given_one(
        self, runner: Runner, run_directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DAEMON_SECRET", "s3cret-of-the-daemon")
        code = "import pathlib; print(pathlib.Path('/proc/self/environ').read_text())"
        process = await runner.launch(self.spec(run_directory, code, environment={"GIVEN": "v\u00e4lue"}))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        seen = await process.output_tail("stdout")
        assert "GIVEN=v\u00e4lue" in seen
        assert "DAEMON_SECRET" not in seen
        assert "s3cret" not in json.dumps(process.state)

    async def test_given_environment_is_not_left_on_disk(self, runner: Runner, run_directory: Path) -> None:
        process = await runner.launch(self.spec(run_directory, "pass", environment={"TOKEN": "s3cret-token"}))
        await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        for path in run_directory.rglob("*"):
            assert not path.is_file() or b"s3cret-token" not in path.read_bytes(), path

    async def test_no_descriptors_and_no_standard_input(self, runner: Runner, run_directory: Path) -> None:
        code = "import os, sys; print(sorted(int(n) for n in os.listdir('/proc/self/fd')), repr(sys.stdin.read()))"
        process = await runner.launch(self.spec(run_directory, code))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        assert (await process.output_tail("stdout")).strip() == "[0, 1, 2, 3] ''"  # 3: the listing itself

    async def test_stop_with_grace(self, runner: Runner, run_directory: Path) -> None:
        code = _READY + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        code += "pathlib.Path('armed').touch()\n" + _FOREVER
        process = await runner.launch(self.spec(run_directory, code))
        await until((run_directory / "armed").exists, "program runs")
        end = await process.stop(WAIT_SECONDS)
        assert end.exit_code == 7
        assert await process.stop(1) == end

    async def test_stop_of_a_stubborn_program(self, runner: Runner, run_directory: Path) -> None:
        code = _READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        code += "pathlib.Path('armed').touch()\n" + _FOREVER
        process = await runner.launch(self.spec(run_directory, code))
        await until((run_directory / "armed").exists, "program runs")
        end = await process.stop(0.2)
        assert end.exit_code == -signal.SIGKILL

    async def test_stop_at_once(self, runner: Runner, run_directory: Path) -> None:
        process = await runner.launch(self.spec(run_directory, _READY + _FOREVER))
        end = await process.stop(0)
        assert end.exit_code in (-signal.SIGKILL, None)
        assert await process.wait() == end

    async def test_stop_takes_the_descendants(self, runner: Runner, run_directory: Path) -> None:
        code = (
            f"{_SIGN}"
            "def child(name, detach):\n"
            "    if os.fork() == 0:\n"
            "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "        if detach: os.setsid()\n"
            "        sign(name)\n"
            "        while True: time.sleep(60)\n"
            "child('same', False); child('own', True)\n"
            "while True: time.sleep(60)\n"
        )
        process = await runner.launch(self.spec(run_directory, code))
        children = [run_directory / name for name in ("same", "own")]
        for child in children:
            await until(partial(read_pid, child), child.name)
        end = await process.stop(0.2)
        assert end.exit_code in (-signal.SIGTERM, -signal.SIGKILL)
        assert not [child for child in children if is_alive(child)]

    async def test_exit_takes_the_descendants(self, runner: Runner, run_directory: Path) -> None:
        code = (
            f"{_SIGN}"
            "if os.fork() == 0:\n"
            "    os.setsid()\n"
            "    sign('child')\n"
            "    while True: time.sleep(60)\n"
            "path = pathlib.Path('child')\n"
            "while not path.exists() or not path.read_text(): time.sleep(0.01)\n"
        )
        process = await runner.launch(self.spec(run_directory, code))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        assert not is_alive(run_directory / "child")

    async def test_timeout(self, runner: Runner, run_directory: Path) -> None:
        code = _READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _FOREVER
        spec = self.spec(run_directory, code, timeout_seconds=0.5, kill_grace_seconds=0.2)
        process = await runner.launch(spec)
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert end.timed_out
        assert end.exit_code in (-signal.SIGKILL, -signal.SIGTERM)

    async def test_memory_limit(self, runner: Runner, run_directory: Path) -> None:
        await self._require(runner, "memory_limit")
        code = "try: block = b'x' * (1 << 30)\nexcept MemoryError: raise SystemExit(9)"
        limits = Limits(memory_bytes=128 << 20)
        process = await runner.launch(self.spec(run_directory, code, limits=limits))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code in (9, -signal.SIGKILL)

    async def test_file_limits(self, runner: Runner, run_directory: Path) -> None:
        await self._require(runner, "file_size_limit")
        code = (
            "import resource, signal\n"
            "print(resource.getrlimit(resource.RLIMIT_FSIZE)[0], resource.getrlimit(resource.RLIMIT_NOFILE)[0],\n"
            "      resource.getrlimit(resource.RLIMIT_CORE)[0])\n"
        )
        limits = Limits(file_size_bytes=1 << 20, open_files=64)
        process = await runner.launch(self.spec(run_directory, code, limits=limits))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        assert await process.output_tail("stdout") == f"{1 << 20} 64 0\n"

    async def test_what_cannot_be_limited_is_refused(self, runner: Runner, run_directory: Path) -> None:
        probe = await runner.probe()
        requests = {"cpu_limit": Limits(cpu_cores=0.5), "process_limit": Limits(processes=16)}
        for capability, limits in requests.items():
            if not probe.capabilities[capability].available:
                with pytest.raises(LaunchError):
                    await runner.launch(self.spec(run_directory, "pass", limits=limits))

    async def test_an_epoch_is_launched_once(self, runner: Runner, run_directory: Path) -> None:
        first = await runner.launch(self.spec(run_directory, "raise SystemExit(5)"))
        with pytest.raises(LaunchError):
            await runner.launch(self.spec(run_directory, "raise SystemExit(6)"))
        assert (await first.wait()).exit_code == 5
        second = await runner.launch(self.spec(run_directory, "raise SystemExit(6)", epoch=2))
        assert (await second.wait()).exit_code == 6

    async def test_state_is_plain_data(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        process = await runner.launch(self.spec(run_directory, _READY + _FOREVER))
        launched.append(process)
        assert json.loads(json.dumps(process.state)) == process.state

    @pytest.mark.parametrize("forget", [False, True], ids=["launched", "planned"])
    async def test_daemon_killed_and_program_adopted(self, runner: Runner, run_directory: Path, forget: bool) -> None:
        code = _READY + "while not pathlib.Path('finish').exists(): time.sleep(0.01)\nsys.exit(11)"
        state = await self._launch_from_killed_daemon(runner, run_directory, code, forget=forget)
        await until(lambda: read_pid(run_directory / "ready"), "program runs")
        assert is_alive(run_directory / "ready")
        adopted = await runner.attach(state)
        assert adopted is not None
        (run_directory / "finish").touch()
        end = await asyncio.wait_for(adopted.wait(), WAIT_SECONDS)
        assert end.exit_code == 11
        assert end.cpu_usage_usec is not None

    async def test_adopted_program_is_stopped(self, runner: Runner, run_directory: Path) -> None:
        state = await self._launch_from_killed_daemon(runner, run_directory, _READY + _FOREVER, forget=False)
        await until(lambda: read_pid(run_directory / "ready"), "program runs")
        adopted = await runner.attach(state)
        assert adopted is not None
        assert (await adopted.stop(5)).exit_code == -signal.SIGTERM
        assert not is_alive(run_directory / "ready")

    @pytest.mark.parametrize("forget", [False, True], ids=["launched", "planned"])
    async def test_exit_is_learned_after_a_restart(self, runner: Runner, run_directory: Path, forget: bool) -> None:
        code = _READY + "sys.exit(12)"
        state = await self._launch_from_killed_daemon(runner, run_directory, code, forget=forget)
        await until(lambda: read_pid(run_directory / "ready"), "program runs")
        await until(lambda: not is_alive(run_directory / "ready"), "program ends")
        for _ in range(2):
            adopted = await runner.attach(state)
            assert adopted is not None
            assert (await asyncio.wait_for(adopted.wait(), WAIT_SECONDS)).exit_code == 12

    @pytest.mark.parametrize("delay_ms", [0, 1, 2, 4, 8, 16, 32, 64])
    async def test_daemon_killed_in_the_middle_of_a_launch(
        self, runner: Runner, run_directory: Path, delay_ms: int
    ) -> None:
        code = "with open('ran', 'a') as file: file.write('once')"
        state = await self._launch_from_killed_daemon(
            runner, run_directory, code, forget="at once", delay_seconds=delay_ms / 1000
        )
        adopted = await runner.attach(state)
        if adopted is not None:
            assert (await asyncio.wait_for(adopted.wait(), WAIT_SECONDS)).exit_code == 0
        await until(lambda: not _mentioned_by_a_process(str(run_directory)), "nothing is on its way")
        ran = (run_directory / "ran").read_text() if (run_directory / "ran").exists() else ""
        assert ran == ("once" if adopted is not None else "")

    async def test_attach_settles_what_was_never_launched(self, runner: Runner, run_directory: Path) -> None:
        spec = self.spec(run_directory, "pass")
        planned = runner.planned_state(spec)
        assert await runner.attach(planned) is None
        assert await runner.attach(planned) is None
        with pytest.raises(LaunchError):  # the launch that was still on its way
            await runner.launch(spec)

    async def test_a_reused_pid_is_not_touched(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        process = await runner.launch(self.spec(run_directory, _READY + _FOREVER))
        launched.append(process)
        if "pid" not in process.state:
            pytest.skip("this runner identifies its launches by something better than a pid")
        # Start times count in ticks of 10 ms: the stranger must not be born in the launch's own.
        await until((run_directory / "ready").exists, "program runs")
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220
        try:
            adopted = await runner.attach(process.state | {"pid": stranger.pid})
            if adopted is not None:
                assert (await adopted.stop(0)).exit_code is None
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    async def test_many_waiters(self, runner: Runner, run_directory: Path) -> None:
        code = _READY + "while not pathlib.Path('finish').exists(): time.sleep(0.01)\nsys.exit(4)"
        process = await runner.launch(self.spec(run_directory, code))
        waiters = [asyncio.create_task(process.wait()) for _ in range(5)]
        await until((run_directory / "ready").exists, "program runs")
        waiters[0].cancel()
        (run_directory / "finish").touch()
        ends = await asyncio.wait_for(asyncio.gather(*waiters[1:]), WAIT_SECONDS)
        assert {end.exit_code for end in ends} == {4}

    async def _require(self, runner: Runner, capability: str) -> None:
        found = (await runner.probe()).capabilities.get(capability)
        if found is None or not found.available:
            pytest.skip(f"{capability}: {found.reason if found else 'not offered'}")

    async def _launch_from_killed_daemon(
        self,
        runner: Runner,
        run_directory: Path,
        code: str,
        *,
        forget: bool | str,
        delay_seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Launch from another process, kill that with SIGKILL, return the state it had saved."""
        kind = type(runner)
        argv = [self.python, "-I", "-S", "-c", code]
        arguments = json.dumps([kind.__module__, kind.__qualname__, argv, str(run_directory), forget])
        daemon = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _LAUNCH_AND_HANG,
            arguments,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=dict(os.environ),
        )
        assert daemon.stdout is not None
        line = await asyncio.wait_for(daemon.stdout.readline(), WAIT_SECONDS)
        await asyncio.sleep(delay_seconds)  # the moment of death is what is varied
        os.killpg(daemon.pid, signal.SIGKILL)
        await daemon.wait()
        state: dict[str, Any] = json.loads(line)
        return state
