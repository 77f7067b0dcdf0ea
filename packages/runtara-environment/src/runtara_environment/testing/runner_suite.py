"""What every runner must do, as tests: subclass `RunnerConformance` and override the `runner` fixture.

    class TestMyRunner(RunnerConformance):
        @pytest.fixture
        def runner(self) -> Runner:
            return MyRunner()

Programs are Python code run by `self.python` (override it where the interpreter of the tests is not reachable); they
report through files in their run directory. Nothing sleeps for a fixed time: everything is a wait for a condition.
"""

from __future__ import annotations

from runtara_environment.testing.runner_checks.adoption import Adoption
from runtara_environment.testing.runner_checks.checked_runner import WAIT_SECONDS, is_alive, read_pid, until
from runtara_environment.testing.runner_checks.endings import Endings
from runtara_environment.testing.runner_checks.isolation import Isolation
from runtara_environment.testing.runner_checks.limits import LimitsOfLaunches
from runtara_environment.testing.runner_checks.output import Output
from runtara_environment.testing.runner_checks.stopping import Stopping

__all__ = ["WAIT_SECONDS", "RunnerConformance", "is_alive", "read_pid", "until"]


class RunnerConformance(Endings, Output, Isolation, Stopping, LimitsOfLaunches, Adoption):
    """The suite; tests are independent of each other."""
