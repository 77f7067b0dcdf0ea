"""The OCI runner passes the shipped suite with crun, too."""

from pathlib import Path

import pytest
from runtara_environment.runner import Runner
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.testing.runner_suite import RunnerConformance

from tests.containers import container_runtime as container_runtime


@pytest.mark.parametrize("container_runtime", ["crun"], indirect=True)
class TestOciRunnerWithCrun(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return OciRunner()

    @pytest.mark.parametrize("delay_ms", [1, 16, 64])
    async def test_daemon_killed_in_the_middle_of_a_launch(
        self, runner: Runner, run_directory: Path, delay_ms: int
    ) -> None:
        await super().test_daemon_killed_in_the_middle_of_a_launch(runner, run_directory, delay_ms)
