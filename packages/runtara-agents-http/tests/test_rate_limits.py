"""Requests wait for their turn, at the rate of their connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtara_agents_http.rate_limits import LONGEST_WAIT_MS, RateLimits
from runtara_sdk.agents import AgentError, CapabilityContext, RawConnection
from runtara_sdk.clock import Clock


class ManualClock(Clock):
    """Goes on by what is slept, one sleeper after the other."""

    def __init__(self) -> None:
        self.moment_ms = 1_000_000
        self.slept_ms: list[int] = []

    def now_ms(self) -> int:
        return self.moment_ms

    async def sleep(self, seconds: float) -> None:
        self.slept_ms.append(round(seconds * 1000))
        self.moment_ms += round(seconds * 1000)


def connection_of(config: Any, **parameters: Any) -> RawConnection:
    return RawConnection(integration_id="http_bearer", parameters=parameters, rate_limit_config=config)


async def waits(count: int, config: Any) -> list[int]:
    limits, clock = RateLimits(), ManualClock()
    for _ in range(count):
        await limits.wait(connection_of(config, token="T"), CapabilityContext(clock=clock))
    return clock.slept_ms


@pytest.mark.parametrize("config", [None, {}, {"is_limited": True}, "text", {"requests_per_minute": None}])
async def test_without_a_limit_nothing_waits(config: Any) -> None:
    assert await waits(100, config) == []


async def test_a_burst_passes_and_the_rest_waits_its_turn() -> None:
    assert await waits(5, {"requests_per_minute": 60, "burst_size": 3}) == [1000, 1000]
    assert await waits(3, {"requests_per_minute": 120}) == [500, 500]


async def test_requests_at_the_same_time_have_turns_one_after_the_other() -> None:
    limits, clock = RateLimits(), ManualClock()
    slept: list[float] = []

    class Still(ManualClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)

    clock = Still()
    connection = connection_of({"requests_per_minute": 60})
    await asyncio.gather(*(limits.wait(connection, CapabilityContext(clock=clock)) for _ in range(4)))
    assert sorted(slept) == [1, 2, 3]


async def test_connections_have_buckets_of_their_own() -> None:
    limits, clock = RateLimits(), ManualClock()
    for token in ("a", "b", "a"):
        await limits.wait(connection_of({"requests_per_minute": 60}, token=token), CapabilityContext(clock=clock))
    assert clock.slept_ms == [1000]


async def test_a_long_wait_is_left_to_the_run_time() -> None:
    limits, clock = RateLimits(), ManualClock()
    connection, context = connection_of({"requests_per_minute": 0.5}), CapabilityContext(clock=clock)
    await limits.wait(connection, context)
    for _ in range(2):  # who is refused takes nothing
        with pytest.raises(AgentError) as caught:
            await limits.wait(connection, context)
        assert (caught.value.code, caught.value.retry_after_ms) == ("HTTP_RATE_LIMITED", 120_000)
        assert caught.value.retryable
    clock.moment_ms += 120_000
    await limits.wait(connection, context)
    assert clock.slept_ms == []


async def test_who_gives_up_gives_its_turn_back() -> None:
    limits = RateLimits()

    class Endless(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    connection, context = connection_of({"requests_per_minute": 60}), CapabilityContext(clock=Endless())
    await limits.wait(connection, context)
    task = asyncio.ensure_future(limits.wait(connection, context))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clock = ManualClock()
    await limits.wait(connection, CapabilityContext(clock=clock))
    assert clock.slept_ms == [1000]


@pytest.mark.parametrize(
    "config",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": -1},
        {"requests_per_minute": "60"},
        {"requests_per_minute": True},
        {"requests_per_minute": float("nan")},
        {"requests_per_minute": 60, "burst_size": 0},
        {"requests_per_minute": 60, "burst_size": []},
    ],
)
async def test_a_configuration_that_cannot_be_read_is_named(config: Any) -> None:
    with pytest.raises(AgentError, match=r"rate_limit_config.*must be a number") as caught:
        await waits(1, config)
    assert caught.value.code == "CAPABILITY_ERROR"


@given(st.floats(1, 10_000), st.integers(1, 20), st.integers(1, 60))
def test_no_more_requests_pass_than_the_rate_allows(per_minute: float, burst: int, count: int) -> None:
    try:
        slept_ms = asyncio.run(waits(count, {"requests_per_minute": per_minute, "burst_size": burst}))
    except AgentError as error:
        assert error.retry_after_ms is not None
        assert error.retry_after_ms > LONGEST_WAIT_MS
        return
    assert sum(slept_ms) >= (count - burst) * 60_000 / per_minute - count
