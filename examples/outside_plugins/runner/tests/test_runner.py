"""The runner keeps what the contract promises, and its programs have a lower priority."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from acme_background import BackgroundRunner
from acme_background.wrapper import NICENESS
from runtara_environment.runner import Runner
from runtara_environment.testing.runner_suite import RunnerConformance


class TestBackgroundRunner(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return BackgroundRunner()

    async def test_programs_have_a_lower_priority(self, runner: Runner, run_directory: Path) -> None:
        code = "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"
        process = await runner.launch(self.spec(run_directory, code))
        assert (await process.wait()).exit_code == 0
        assert await process.output_tail("stdout") == f"{min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)}\n"
