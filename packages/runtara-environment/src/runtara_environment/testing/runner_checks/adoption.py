"""An epoch is launched once, and found again by whoever has its state, whenever the daemon died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtara_environment.runner import LaunchedProcess, LaunchError, Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    FOREVER,
    READY,
    WAIT_SECONDS,
    CheckedRunner,
    is_alive,
    read_pid,
    until,
)


def _mentioned_by_a_process(text: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if text.encode() in path.read_bytes():
                return True
    return False


class Adoption(CheckedRunner):
    """The checks."""

    async def test_an_epoch_is_launched_once(self, runner: Runner, run_directory: Path) -> None:
        first = await runner.launch(self.spec(run_directory, "raise SystemExit(5)"))
        with pytest.raises(LaunchError) as refusal:
            await runner.launch(self.spec(run_directory, "raise SystemExit(6)"))
        assert not refusal.value.permanent  # the next claim has another epoch
        assert (await first.wait()).exit_code == 5
        second = await runner.launch(self.spec(run_directory, "raise SystemExit(6)", epoch=2))
        assert (await second.wait()).exit_code == 6

    async def test_state_is_plain_data(
        self, runner: Runner, run_directory: Path, launched: list[LaunchedProcess]
    ) -> None:
        process = await runner.launch(self.spec(run_directory, READY + FOREVER))
        launched.append(process)
        assert json.loads(json.dumps(process.state)) == process.state

    @pytest.mark.parametrize("forget", [False, True], ids=["launched", "planned"])
    async def test_daemon_killed_and_program_adopted(self, runner: Runner, run_directory: Path, forget: bool) -> None:
        code = READY + "while not pathlib.Path('finish').exists(): time.sleep(0.01)\nsys.exit(11)"
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
        state = await self._launch_from_killed_daemon(runner, run_directory, READY + FOREVER, forget=False)
        await until(lambda: read_pid(run_directory / "ready"), "program runs")
        adopted = await runner.attach(state)
        assert adopted is not None
        assert (await adopted.stop(5)).exit_code == -signal.SIGTERM
        assert not is_alive(run_directory / "ready")

    @pytest.mark.parametrize("forget", [False, True], ids=["launched", "planned"])
    async def test_exit_is_learned_after_a_restart(self, runner: Runner, run_directory: Path, forget: bool) -> None:
        code = READY + "sys.exit(12)"
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
        process = await runner.launch(self.spec(run_directory, READY + FOREVER))
        launched.append(process)
        if "pid" not in process.state:
            pytest.skip("this runner identifies its launches by something better than a pid")
        # Start times count in ticks of 10 ms: the stranger must not be born in the launch's own.
        await until((run_directory / "ready").exists, "program runs")
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220 - no wait
        try:
            adopted = await runner.attach(process.state | {"pid": stranger.pid})
            if adopted is not None:
                assert (await adopted.stop(0)).exit_code is None
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    async def test_timeout_while_the_daemon_is_down(self, runner: Runner, run_directory: Path) -> None:
        code = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
        state = await self._launch_from_killed_daemon(
            runner, run_directory, code, forget=False, timeout_seconds=1.0, kill_grace_seconds=0.1
        )
        ready = run_directory / "ready"
        await until(lambda: not ready.exists() or not read_pid(ready) or not is_alive(ready), "the program ends")
        adopted = await runner.attach(state)
        assert adopted is not None
        assert (await asyncio.wait_for(adopted.wait(), WAIT_SECONDS)).timed_out
