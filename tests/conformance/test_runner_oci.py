"""The OCI runner passes the shipped suite."""

import pytest
from runtara_environment.runner import Runner
from runtara_environment.runners.oci.runner import OciRunner
from runtara_environment.testing.runner_suite import RunnerConformance

from tests.containers import container_runtime as container_runtime


class TestOciRunner(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return OciRunner()
