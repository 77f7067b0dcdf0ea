"""The bounds of launches: asked for, by default, at most, and as far as the runner can."""

from __future__ import annotations

import logging

import pytest
from runtara_environment.limit_policy import LimitPolicy, unenforceable
from runtara_environment.runner import DEFAULT_OUTPUT_BYTES, Capability, Limits, RunnerProbe
from runtara_sdk.errors import ConfigurationError, InvalidInputError
from runtara_sdk.resource_limits import UNLIMITED, ResourceLimits
from runtara_sdk.settings import EnvironmentReader

GIBIBYTE = 2**30
ABLE = RunnerProbe(
    True,
    "container",
    {f"{name}_limit": Capability(True) for name in ("memory", "cpu", "process", "file_size", "open_files", "tmp")},
)
UNABLE = RunnerProbe(True, "none", {"memory_limit": Capability(True), "cpu_limit": Capability(False, "needs a cgroup")})
OWN = Limits(memory_bytes=GIBIBYTE // 2, cpu_cores=0.5)


def policy_of(**variables: str) -> LimitPolicy:
    return LimitPolicy.from_environment(EnvironmentReader({f"RUNTARA_{name}": v for name, v in variables.items()}))


def test_without_a_word_of_anybody_the_runner_decides() -> None:
    assert LimitPolicy().of_launch(UNLIMITED, OWN, ABLE) == OWN
    assert LimitPolicy().of_launch(UNLIMITED, Limits(), ABLE) == Limits()


def test_what_was_asked_for_comes_before_the_default_and_the_default_before_the_runner() -> None:
    policy = policy_of(DEFAULT_MEMORY_BYTES=str(2 * GIBIBYTE), DEFAULT_PROCESSES="9")
    assert policy.of_launch(UNLIMITED, OWN, ABLE) == Limits(2 * GIBIBYTE, 0.5, 9)
    asked = ResourceLimits(memory_bytes=GIBIBYTE, output_bytes=2**20)
    assert policy.of_launch(asked, OWN, ABLE) == Limits(GIBIBYTE, 0.5, 9, output_bytes=2**20)


def test_the_maximum_bounds_every_launch() -> None:
    policy = policy_of(MAX_MEMORY_BYTES=str(GIBIBYTE // 4), MAX_PROCESSES="8", MAX_OUTPUT_BYTES="65536")
    assert policy.of_launch(UNLIMITED, OWN, ABLE) == Limits(GIBIBYTE // 4, 0.5, 8, output_bytes=65536)
    # An instance that was started when more was allowed, or in another environment.
    assert policy.of_launch(ResourceLimits(processes=50), Limits(), ABLE).processes == 8
    assert policy_of(MAX_MEMORY_BYTES=str(GIBIBYTE)).of_launch(UNLIMITED, OWN, ABLE).memory_bytes == GIBIBYTE // 2
    assert policy.of_launch(UNLIMITED, Limits(), ABLE).output_bytes < DEFAULT_OUTPUT_BYTES


def test_what_the_runner_cannot_do_is_left_out_unless_it_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    policy = policy_of(DEFAULT_CPU_CORES="2", MAX_CPU_CORES="3", MAX_MEMORY_BYTES=str(GIBIBYTE))
    assert policy.of_launch(UNLIMITED, Limits(), UNABLE) == Limits(memory_bytes=GIBIBYTE)
    with caplog.at_level(logging.WARNING):
        policy.warn_of_unenforced("native", UNABLE)
    assert [record.getMessage() for record in caplog.records] == [
        "RUNTARA_DEFAULT_CPU_CORES and RUNTARA_MAX_CPU_CORES bound no launch of the runner native: needs a cgroup"
    ]
    assert unenforceable(ResourceLimits(cpu_cores=2), "native", UNABLE) == (
        "limits.cpu_cores is 2, and the runner native cannot enforce it (needs a cgroup)"
    )
    assert "it does not offer that" in str(unenforceable(ResourceLimits(tmp_bytes=2**20), "native", UNABLE))
    assert unenforceable(ResourceLimits(GIBIBYTE, output_bytes=2**20), "native", UNABLE) is None


def test_asking_for_more_than_is_allowed_is_refused() -> None:
    policy = policy_of(MAX_MEMORY_BYTES=str(GIBIBYTE))
    policy.require_allowed(ResourceLimits(memory_bytes=GIBIBYTE))
    with pytest.raises(InvalidInputError) as caught:
        policy.require_allowed(ResourceLimits(memory_bytes=2 * GIBIBYTE))
    assert caught.value.message == (
        "limits.memory_bytes is 2 GiB, and this environment allows at most 1 GiB: ask for less, or let its operator "
        "raise RUNTARA_MAX_MEMORY_BYTES"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MAX_MEMORY_BYTES": "lots"}, "RUNTARA_MAX_MEMORY_BYTES='lots' is not a number"),
        ({"DEFAULT_CPU_CORES": "inf"}, "RUNTARA_DEFAULT_CPU_CORES='inf': limits.cpu_cores is inf"),
        ({"MAX_PROCESSES": "0"}, "RUNTARA_MAX_PROCESSES='0': limits.processes is 0: give one from 1"),
        ({"DEFAULT_PROCESSES": "9", "MAX_PROCESSES": "8"}, "RUNTARA_DEFAULT_PROCESSES=9 is more than RUNTARA_MAX_PRO"),
    ],
)
def test_unusable_variables_are_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy_of(**variables)
    assert message in caught.value.message
