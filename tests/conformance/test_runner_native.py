import pytest
from runtara_environment.runner import Runner
from runtara_environment.runners.native import NativeRunner
from runtara_environment.testing.runner_suite import RunnerConformance


class TestNativeRunner(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return NativeRunner()
