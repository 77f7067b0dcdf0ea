"""Tests of capabilities as launches of a runner: what comes of each end, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtara_environment.agents.capability_host import CapabilityCall, CapabilityOutcome
from runtara_environment.agents.launched_call_host import CallRunners, LaunchedCallHost
from runtara_environment.agents.listing import InstalledCapability
from runtara_environment.limit_policy import LimitPolicy
from runtara_environment.runner import LaunchError, Limits, NetworkMode, RunnerProbe
from runtara_environment.runners.available import AvailableRunners, ReadyRunner
from runtara_environment.runners.loading import LoadedRunners
from runtara_environment.runners.native import NativeRunner
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.testing.mock_runner import MockProcess, MockRunner
from runtara_sdk.clock import SystemClock
from runtara_sdk.resource_limits import ResourceLimits

WRITE_FILE = InstalledCapability("file", "file-write-file", "runtara_sdk.file_agent", "file_agent", {})
CONNECTION = b'{"parameters": {"token": "the-secret-token"}}'


class Laboratory:
    """A place of calls whose own runner is the mock; `native` may be asked for, `oci` is not installed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / ".capability-tests"
        self.runner = MockRunner()
        native = NativeRunner()
        installed = LoadedRunners({"mock": self.runner, "native": native}, ())
        own = ReadyRunner(self.runner, RunnerProbe(True, "mock"), NetworkMode.HOST)
        available = AvailableRunners(installed, own, SystemClock(), nameable=("native", "oci"))
        limits = LimitPolicy(maxima=ResourceLimits(output_bytes=1024))
        runners = CallRunners(installed, available, limits, directory / "bundles")
        self.host = LaunchedCallHost(self.directory, GuestNetwork(), runners)

    async def call(self, *, runner: str | None = None, timeout_ms: int = 60_000) -> CapabilityOutcome:
        inputs = b'{"path": "a.txt", "data": "written"}'
        return await self.host.call(CapabilityCall("acme", WRITE_FILE, inputs, CONNECTION, timeout_ms, runner))

    async def launched(self) -> MockProcess:
        async with asyncio.timeout(60):
            while not self.runner.processes:
                await asyncio.sleep(0.002)
        return self.runner.newest

    @property
    def left(self) -> list[Path]:
        return [*self.directory.iterdir()]


@pytest.fixture
def laboratory(tmp_path: Path) -> Laboratory:
    return Laboratory(tmp_path)


def told(outcome: CapabilityOutcome) -> tuple[str, str, str]:
    assert outcome.error is not None
    return outcome.error["code"], outcome.error["category"], outcome.error["message"]


async def test_a_call_in_a_runner_that_was_asked_for(laboratory: Laboratory) -> None:
    outcome = await laboratory.call(runner="native")
    assert outcome.error is None
    assert json.loads(outcome.output_json or b"")["bytes_written"] == 7
    assert laboratory.left == []
    late = await laboratory.call(runner="native", timeout_ms=1)
    assert told(late)[:2] == ("TIMEOUT", "transient")
    assert laboratory.left == []


async def test_a_launch_has_the_bounds_of_any_other(laboratory: Laboratory) -> None:
    calling = asyncio.create_task(laboratory.call())
    spec = (await laboratory.launched()).spec
    assert (spec.tenant_id, spec.epoch, spec.core_address) == ("acme", 1, None)
    assert spec.limits == Limits(output_bytes=1024)
    assert spec.timeout_seconds is not None
    assert 60 < spec.timeout_seconds < 70
    assert "the-secret-token" not in json.dumps([spec.argv, dict(spec.environment)])
    written = [path for path in laboratory.directory.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"the-secret-token" in path.read_bytes()]
    laboratory.runner.newest.end(0)
    await calling


def _end(**details: Any) -> Callable[[MockProcess], None]:
    return lambda process: process.end(**details)


@pytest.mark.parametrize(
    ("end", "code", "category", "text"),
    [
        (_end(exit_code=7), "CAPABILITY_CRASHED", "permanent", "ended with exit code 7"),
        (_end(exit_code=-9), "CAPABILITY_CRASHED", "permanent", "was killed by SIGKILL"),
        (_end(exit_code=None), "CAPABILITY_CRASHED", "permanent", "in a way that nobody saw"),
        (_end(exit_code=-9, out_of_memory=True), "CAPABILITY_CRASHED", "permanent", "needed more memory than it may"),
        (_end(exit_code=-9, timed_out=True), "TIMEOUT", "transient", "which had not read what to call"),
        (_end(exit_code=None, started=False, error="no room"), "TEST_CAPABILITY_ERROR", "transient", "mock: no room"),
    ],
)
async def test_ends_without_an_answer(
    laboratory: Laboratory, end: Callable[[MockProcess], None], code: str, category: str, text: str
) -> None:
    calling = asyncio.create_task(laboratory.call())
    process = await laboratory.launched()
    process.stderr = "Traceback\nValueError: the-secret-token"
    end(process)
    outcome = await calling
    assert told(outcome)[:2] == (code, category)
    assert text in told(outcome)[2]
    assert "the-secret-token" not in told(outcome)[2]
    assert laboratory.left == []


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"x" * (8 * 1024 * 1024 + 2), "RESULT_TOO_LARGE"),
        (b'{"success": true', "CAPABILITY_CRASHED"),
        (b'{"success": true}', "CAPABILITY_CRASHED"),
        (b'{"success": false, "error": {"code": "NONE_LEFT", "category": "c", "message": ""}}\n', "NONE_LEFT"),
    ],
)
async def test_answers_that_are_no_result(laboratory: Laboratory, answer: bytes, code: str) -> None:
    calling = asyncio.create_task(laboratory.call())
    process = await laboratory.launched()
    (process.spec.run_directory / "answer").write_bytes(answer)
    process.end(0)
    assert told(await calling)[0] == code


async def test_runners_that_cannot_be_used_are_named_with_the_reason(laboratory: Laboratory) -> None:
    for runner, text in (("cloud", "is not installed here: installed are"), ("oci", "oci")):
        code, _, message = told(await laboratory.call(runner=runner))
        assert code == "RUNNER_UNAVAILABLE"
        assert text in message
    laboratory.runner.launch_errors = [LaunchError("no such tenant", permanent=True)]
    assert told(await laboratory.call()) == ("TEST_CAPABILITY_ERROR", "permanent", "no such tenant")
    assert laboratory.left == []
    assert laboratory.runner.alive == []


async def test_what_a_caller_gives_up_is_stopped(laboratory: Laboratory) -> None:
    calling = asyncio.create_task(laboratory.call())
    process = await laboratory.launched()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert not process.is_alive
    assert laboratory.left == []


async def test_what_does_not_die_is_left_to_the_next_daemon(laboratory: Laboratory, tmp_path: Path) -> None:
    calling = asyncio.create_task(laboratory.call())
    process = await laboratory.launched()
    process.immortal = True
    calling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calling
    assert process.is_alive
    assert len(laboratory.left) == 1
    await laboratory.host.sweep()
    assert len(laboratory.left) == 1, "it still does not die"
    process.immortal = False
    (laboratory.directory / "of-an-earlier-version").mkdir()
    await laboratory.host.sweep()
    assert laboratory.runner.alive == []
    assert not laboratory.directory.exists()


async def test_files_that_lie_too_deep_or_are_closed_are_swept(laboratory: Laboratory, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o755)
    run = laboratory.directory / "of-a-killed-daemon" / "run"
    (run / "closed" / "inner").mkdir(parents=True)
    (run / "closed" / "link").symlink_to(outside)
    deep = os.open(run, os.O_RDONLY)
    for _ in range(1_500):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    (run / "closed").chmod(0)
    await laboratory.host.sweep()
    assert not laboratory.directory.exists()
    assert outside.stat().st_mode & 0o777 == 0o755
