"""What is kept of a program's output."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runtara_environment.runner import LaunchedProcess, Limits, Runner
from runtara_environment.testing.runner_checks.checked_runner import (
    READY,
    WAIT_SECONDS,
    CheckedRunner,
)


class Output(CheckedRunner):
    """The checks."""

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
        code = f"{READY}for number in range(200_000): sys.stderr.write(f'line {{number:06d}}\\n')\nsys.exit(0)"
        limits = Limits(output_bytes=64 * 1024)
        process = await runner.launch(self.spec(run_directory, code, limits=limits))
        launched.append(process)
        assert (await asyncio.wait_for(process.wait(), WAIT_SECONDS)).exit_code == 0
        kept = await process.output_tail("stderr", limit_bytes=10 * 1024 * 1024)
        assert len(kept) <= limits.output_bytes
        assert kept.endswith("line 199999\n")
