"""The native runner passes the shipped suite, without and with users of their own for programs."""

from pathlib import Path

import pytest
from runtara_environment.runner import Runner
from runtara_environment.runners.native import NativeRunner
from runtara_environment.testing.runner_suite import RunnerConformance

from tests.guests import guest_python
from tests.guests import open_directory as open_directory
from tests.guests import users_of_their_own as users_of_their_own


class TestNativeRunner(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return NativeRunner()


@pytest.mark.privileged
@pytest.mark.usefixtures("users_of_their_own")
class TestNativeRunnerWithUsers(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        self.python = guest_python()
        return NativeRunner()

    @pytest.fixture
    def tmp_path(self, open_directory: Path) -> Path:
        return open_directory
