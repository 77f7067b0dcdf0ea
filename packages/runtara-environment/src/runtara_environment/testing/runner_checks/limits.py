"""Bounds that a probe claims hold, and others are refused."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from runtara_environment.runner import LaunchError, Limits, Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    WAIT_SECONDS,
    CheckedRunner,
)


class LimitsOfLaunches(CheckedRunner):
    """The checks."""

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

    async def test_bounds_of_files_hold(self, runner: Runner, run_directory: Path) -> None:
        await self._require(runner, "file_size_limit")
        await self._require(runner, "open_files_limit")
        code = (
            "import errno, signal\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "def failure(call):\n"
            "    try: call()\n"
            "    except OSError as error: return errno.errorcode[error.errno]\n"
            "def write():\n"
            "    with open('large', 'wb', 0) as file:\n"
            "        while True: file.write(bytes(1 << 16))\n"
            "def open_many(): many.extend(open('large', 'rb') for _ in range(64))\n"
            "many = []\n"
            "found = [failure(write), failure(open_many)]\n"
            "del many\n"
            "print(*found)"
        )
        limits = Limits(file_size_bytes=1 << 20, open_files=64)
        process = await runner.launch(self.spec(run_directory, code, limits=limits))
        end = await asyncio.wait_for(process.wait(), WAIT_SECONDS)
        assert end.exit_code == 0, await process.output_tail("stderr")
        assert await process.output_tail("stdout") == "EFBIG EMFILE\n"
        assert (run_directory / "large").stat().st_size == 1 << 20

    async def test_process_limit(self, runner: Runner, run_directory: Path) -> None:
        if not (await runner.probe()).capabilities["process_limit"].available:
            return  # then a launch with such a limit is refused, which has a test of its own
        code = (
            "import os, signal\n"
            "children = 0\n"
            "try:\n"
            "    while children < 200:\n"
            "        if os.fork() == 0: signal.pause()\n"
            "        children += 1\n"
            "except BlockingIOError: pass\n"
            "print(children)"
        )
        process = await runner.launch(self.spec(run_directory, code, limits=Limits(processes=24)))
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        assert 0 < int(await process.output_tail("stdout")) < 24
