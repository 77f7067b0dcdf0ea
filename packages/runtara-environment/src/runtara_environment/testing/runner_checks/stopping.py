"""How a program and all that it has started are ended."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from pathlib import Path

from runtara_environment.runner import Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    COMETS,
    FOREVER,
    READY,
    SIGN,
    WAIT_SECONDS,
    CheckedRunner,
    is_alive,
    read_pid,
    until,
)


class Stopping(CheckedRunner):
    """The checks."""

    async def test_stop_with_grace(self, runner: Runner, run_directory: Path) -> None:
        code = READY + "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        code += "pathlib.Path('armed').touch()\n" + FOREVER
        process = await runner.launch(self.spec(run_directory, code))
        await until((run_directory / "armed").exists, "program runs")
        end = await process.stop(WAIT_SECONDS)
        assert end.exit_code == 7
        assert await process.stop(1) == end

    async def test_stop_of_a_stubborn_program(self, runner: Runner, run_directory: Path) -> None:
        code = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        code += "pathlib.Path('armed').touch()\n" + FOREVER
        process = await runner.launch(self.spec(run_directory, code))
        await until((run_directory / "armed").exists, "program runs")
        end = await process.stop(0.2)
        assert end.exit_code == -signal.SIGKILL

    async def test_stop_at_once(self, runner: Runner, run_directory: Path) -> None:
        process = await runner.launch(self.spec(run_directory, READY + FOREVER))
        end = await process.stop(0)
        assert end.exit_code in (-signal.SIGKILL, None)
        assert await process.wait() == end

    async def test_stop_takes_the_descendants(self, runner: Runner, run_directory: Path) -> None:
        code = (
            f"{SIGN}"
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

    async def test_stop_takes_processes_that_fork_and_end_all_the_time(
        self, runner: Runner, run_directory: Path
    ) -> None:
        process = await runner.launch(self.spec(run_directory, COMETS))
        try:
            await until((run_directory / "armed").exists, "most of them run")
            end = await process.stop(0.2)
            assert not is_alive(run_directory / "comets")
        finally:
            (run_directory / "go").unlink(missing_ok=True)
            await process.stop(0)
        assert end.exit_code in (-signal.SIGTERM, -signal.SIGKILL)
        assert await process.wait() == end

    async def test_exit_takes_the_descendants(self, runner: Runner, run_directory: Path) -> None:
        code = (
            f"{SIGN}"
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
