"""What a runner tells of the end of a program, and of one that cannot be started."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from runtara_environment.runner import LaunchedProcess, LaunchError, Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    FOREVER,
    READY,
    WAIT_SECONDS,
    CheckedRunner,
    until,
)


class Endings(CheckedRunner):
    """The checks."""

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
            return  # this runner cannot say it, so a silent program counts as idle
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
            (b"\x7fELF but not really", 0o755, "format"),
            (b"#!/bin/sh\n", 0o644, "ermission"),
        ],
    )
    async def test_a_program_that_can_never_be_executed_is_a_permanent_failure(
        self, runner: Runner, run_directory: Path, tmp_path: Path, content: bytes, mode: int, reason: str
    ) -> None:
        message, permanent = await self._refusal(runner, run_directory, tmp_path / "program", content, mode)
        assert permanent
        assert reason in message

    async def test_a_missing_interpreter_is_no_permanent_failure(
        self, runner: Runner, run_directory: Path, tmp_path: Path
    ) -> None:
        # Another host may have it, and this one may get it.
        content = b"#!/does/not/exist\n"
        message, permanent = await self._refusal(runner, run_directory, tmp_path / "program", content, 0o755)
        assert not permanent
        assert "interpreter" in message

    async def _refusal(
        self, runner: Runner, run_directory: Path, program: Path, content: bytes, mode: int
    ) -> tuple[str, bool]:
        """Why a program is not started, and whether trying again is useless."""
        program.write_bytes(content)
        program.chmod(mode)
        try:
            process = await runner.launch(self.spec(run_directory, "", argv=(str(program),)))
        except LaunchError as error:
            return error.message, error.permanent
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert not end.started
        return end.error or "", end.permanent

    async def test_timeout(self, runner: Runner, run_directory: Path) -> None:
        code = READY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
        spec = self.spec(run_directory, code, timeout_seconds=0.5, kill_grace_seconds=0.2)
        process = await runner.launch(spec)
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert end.timed_out
        assert end.exit_code in (-signal.SIGKILL, -signal.SIGTERM)

    async def test_many_waiters(self, runner: Runner, run_directory: Path) -> None:
        code = READY + "while not pathlib.Path('finish').exists(): time.sleep(0.01)\nsys.exit(4)"
        process = await runner.launch(self.spec(run_directory, code))
        waiters = [asyncio.create_task(process.wait()) for _ in range(5)]
        await until((run_directory / "ready").exists, "program runs")
        waiters[0].cancel()
        (run_directory / "finish").touch()
        ends = await asyncio.wait_for(asyncio.gather(*waiters[1:]), WAIT_SECONDS)
        assert {end.exit_code for end in ends} == {4}
