"""What holds for every test of the workspace."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

# Examples take as long as the machine lets them: how long says nothing about what they test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("any machine in CI", settings.get_profile("any machine"), derandomize=True)
settings.load_profile("any machine in CI" if os.environ.get("CI") else "any machine")

# Tests start daemons, databases and compilers of their own: more of them side by side only get in each other's way.
MOST_TEST_PROCESSES = 4


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Do nothing, as the ignored signal did."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let children start with the dispositions that a terminal gives them, and keep temporary directories short.

    A shell's background job and `nohup` start with signals ignored, and so would every program that a test starts and
    then ends by such a signal. A handler is not inherited, so the tests go on ignoring it and their children do not.

    Directories of several processes lie in `popen-gw0` and so on: with these names the local sockets of the daemons
    would have paths that are too long.
    """
    if hasattr(config, "workerinput") and config.option.basetemp is not None:
        given = Path(config.option.basetemp)
        config.option.basetemp = str(given.with_name(given.name.removeprefix("popen-gw")))
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, _stay)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many processes run the tests, unless `-n` says so: one for each processor, but four at most.

    Whoever names nothing but files or tests, or wants to see their output (`-s`), gets them in this very process.
    """
    chosen = all("::" in argument or Path(argument).is_file() for argument in config.args)
    if chosen or config.getoption("capture") == "no":
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, MOST_TEST_PROCESSES) if processors > 1 else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test fails: there every part that tests need is installed, so a skip hides something missing.

    Only tests marked `privileged` may be skipped, as nothing can be installed to get rights.
    """
    report = yield
    in_ci = os.environ.get("CI", "").lower() in {"1", "true"}
    if in_ci and report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("privileged") is None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but CI skips nothing: {reason}"
    return report
