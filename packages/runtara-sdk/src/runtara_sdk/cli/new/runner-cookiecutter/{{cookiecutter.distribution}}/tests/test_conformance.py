"""What every runner owes the environment, as `runtara-environment` checks it."""

import pytest
from runtara_environment.runner import Runner
from runtara_environment.testing.runner_suite import RunnerConformance

from {{ cookiecutter.__module }}.runner import BoundedRunner


class TestConformance(RunnerConformance):
    @pytest.fixture
    def runner(self) -> Runner:
        return BoundedRunner()
