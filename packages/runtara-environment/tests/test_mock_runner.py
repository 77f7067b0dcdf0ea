"""The mock runner keeps the contract, as far as processes that do not exist can."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_environment.runner import LaunchError, LaunchSpec, ProcessExit, StopError
from runtara_environment.testing.mock_runner import MockRunner


def launch_of(epoch: int) -> LaunchSpec:
    return LaunchSpec("i-1", "t-1", epoch, ("/program",), {}, Path("/run/i-1"))


async def test_scripted_ends() -> None:
    runner = MockRunner()
    runner.exits = [ProcessExit(-9), ProcessExit(None), ProcessExit(0, memory_peak_bytes=7, cpu_usage_usec=8)]
    ends = [await (await runner.launch(launch_of(epoch))).wait() for epoch in (1, 2, 3)]
    assert [end.exit_code for end in ends] == [-9, None, 0]
    assert (ends[2].memory_peak_bytes, ends[2].cpu_usage_usec) == (7, 8)
    await runner.launch(launch_of(4))
    assert runner.alive == [runner.newest]


async def test_launches_are_found_again_and_settled() -> None:
    runner = MockRunner()
    process = await runner.launch(launch_of(1))
    for state in (process.state, runner.planned_state(launch_of(1))):
        assert await runner.attach(state) is process
    with pytest.raises(LaunchError):
        await runner.launch(launch_of(1))
    assert await runner.attach(runner.planned_state(launch_of(2))) is None
    with pytest.raises(LaunchError):
        await runner.launch(launch_of(2))
    runner.reboot()
    found = await runner.attach(process.state)
    assert found is not None
    assert (await found.wait()).exit_code is None


async def test_hangs_and_stops() -> None:
    runner = MockRunner()
    first, second = [await runner.launch(launch_of(epoch)) for epoch in (1, 2)]
    assert (await first.stop(1.0)).exit_code == -15
    runner.newest.immortal = True
    with pytest.raises(StopError):
        await second.stop(1.0)
    runner.newest.immortal, runner.newest.obeys_stop = False, False
    assert (await second.stop(1.0)).exit_code == -9
