"""Runs of steps that die by SIGKILL in the middle, and waits for files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_sftp import SftpAgent
from runtara_agents_sftp.agent import sftp_agent
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.models import InstanceStatus
from runtara_sdk.testing.memory_store import KillPoint
from runtara_sdk.testing.trial import Trial, TrialOutcome, try_workflow
from runtara_sdk.workflow import AgentStep, FinishStep, Run, Workflow, immediate, reference

from .conftest import Call
from .sftp_server import SftpServer

SIZE = 30_000_000

PROGRAM = """
import asyncio, json, os, signal, sys
from pathlib import Path
from runtara_agents_sftp import sftp_agent
from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.workspace import Workspace
import paramiko
from runtara_agents_sftp.wire import WireClient

given = json.loads(sys.stdin.read())
context = CapabilityContext(workspace=Workspace(Path(given["workspace"])), idempotency_key="tenant/instance::step")
place, left = given["dies_at"] or ("", 0)

def dying(function):
    def call(self, *arguments, **options):
        global left
        result = function(self, *arguments, **options)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return call

for owner in (WireClient, paramiko.SFTPFile):
    if place and hasattr(owner, place):
        setattr(owner, place, dying(getattr(owner, place)))
print(json.dumps(asyncio.run(sftp_agent.invoke(given["capability"], given["inputs"], context))))
"""


def run(capability: str, inputs: dict[str, Any], workspace: Path, dies_at: tuple[str, int] | None = None) -> Any:
    given = {"capability": capability, "inputs": inputs, "workspace": str(workspace), "dies_at": dies_at}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if dies_at:
        assert done.returncode == -9, done.stderr
        return None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("packets", [10, 40, 100])
def test_a_download_goes_on_after_a_kill(packets: int, sftp_server: SftpServer, files: Path, tmp_path: Path) -> None:
    content = os.urandom(SIZE)
    (files / "in").write_bytes(content)
    inputs = {"path": f"{files}/in", "save_to": "in", "_connection": sftp_server.connection()}
    run("sftp-download-file", inputs, tmp_path / "w", ("_read_packet", packets))
    assert not (tmp_path / "w" / "in").exists()
    (partial,) = (tmp_path / "w" / ".partial").iterdir()
    there = partial.stat().st_size
    assert there <= packets * 255 * 1024
    result = run("sftp-download-file", inputs, tmp_path / "w")
    assert result["sha256"] == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "w" / "in").read_bytes() == content


@pytest.mark.parametrize("dies_at", [("_ask", 1), ("_ask", 60), ("sync", 1), ("close", 1), ("posix_rename", 1)])
def test_an_upload_that_is_killed_leaves_the_old_file_or_the_new_one(
    dies_at: tuple[str, int], sftp_server: SftpServer, files: Path, tmp_path: Path
) -> None:
    content = os.urandom(SIZE)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "out").write_bytes(content)
    (files / "target").write_text("old")
    inputs = {"path": f"{files}/target", "data": {"$file": "out"}, "_connection": sftp_server.connection()}
    run("sftp-upload-file", inputs, tmp_path / "w", dies_at)
    assert (files / "target").read_bytes() in (b"old", content)
    assert run("sftp-upload-file", inputs, tmp_path / "w") == SIZE
    assert (files / "target").read_bytes() == content
    assert [path.name for path in files.iterdir()] == ["target"]


def workflow(capability: str, inputs: dict[str, Any]) -> Workflow:
    values = {name: immediate(value) for name, value in inputs.items()}
    step = AgentStep(
        id="s", agent=sftp_agent, agent_id="sftp", capability_id=capability, inputs=values, then=("end",), max_retries=0
    )
    end = FinishStep(id="end", result={"outputs": reference("steps.s.outputs")})

    async def graph(run: Run) -> Any:
        await run.do(step)
        return await run.finish(end)

    return Workflow(id="w", version=1, graph=graph, agents=(sftp_agent,))


async def deaths(sftp_server: SftpServer, capability: str, inputs: dict[str, Any], prepare: Any) -> list[TrialOutcome]:
    """The step with a death before and after each change of its records; `prepare` makes the files anew."""
    made = workflow(capability, {**inputs, "_connection": sftp_server.connection()})
    prepare()
    outcomes = [await try_workflow(made, Trial())]
    for call in range(1, outcomes[0].store_calls + 1):
        for after in (False, True):
            prepare()
            outcomes.append(await try_workflow(made, Trial(kill=KillPoint(call, after))))
    return outcomes


async def test_removing_and_moving_are_done_once_whatever_dies(sftp_server: SftpServer, files: Path) -> None:
    def prepare() -> None:
        (files / "b").unlink(missing_ok=True)
        (files / "a").write_text("a")

    for capability, inputs in (
        ("sftp-delete-file", {"path": f"{files}/a"}),
        ("sftp-move-file", {"source": f"{files}/a", "destination": f"{files}/b"}),
    ):
        for outcome in await deaths(sftp_server, capability, inputs, prepare):
            assert outcome.status is InstanceStatus.COMPLETED, outcome.error
        assert not (files / "a").exists()


async def test_a_batch_transfers_no_file_twice(sftp_server: SftpServer, files: Path) -> None:
    def prepare() -> None:
        for number in range(3):
            (files / f"{number}.csv").write_text(str(number))

    inputs = {"pattern": f"{files}/*.csv", "save_to": "in", "concurrency": 1}
    for outcome in await deaths(sftp_server, "sftp-download-files", inputs, prepare):
        assert outcome.status is InstanceStatus.COMPLETED, outcome.error
        assert outcome.output["succeeded"] == 3


async def test_waiting_for_a_file_ends_the_process_and_keeps_its_deadline(sftp_server: SftpServer, files: Path) -> None:
    inputs = {"pattern": f"{files}/*.csv", "interval_ms": 60_000, "timeout_ms": 3_600_000, "stable_ms": 0}
    made = workflow("sftp-wait-for-file", {**inputs, "_connection": sftp_server.connection()})
    nothing = await try_workflow(made, Trial())
    assert nothing.error is not None
    assert (nothing.error["code"], nothing.launches) == ("SFTP_WAIT_TIMEOUT", 61)
    assert 3_600_000 <= nothing.passed_ms < 3_660_000
    (files / "a.csv").write_text("here")
    found = await try_workflow(made, Trial())
    assert [each["name"] for each in found.output["files"]] == ["a.csv"]


async def test_a_file_that_still_grows_is_not_taken(files: Path, call: Call, sftp_server: SftpServer) -> None:
    (files / "grows.csv").write_text("")
    (files / "rests.csv").write_text("done")
    context = CapabilityContext()
    sleep = context.clock.sleep

    async def grow(seconds: float) -> None:
        with (files / "grows.csv").open("a") as file:
            file.write("more")
        await sleep(0)

    object.__setattr__(context, "clock", _clock_that(grow))
    found = await call("sftp-wait-for-file", pattern=f"{files}/*.csv", stable_ms=1000, context=context)
    assert [each["name"] for each in found["files"]] == ["rests.csv"]
    with pytest.raises(AgentError, match="SFTP_WAIT_TIMEOUT"):
        await call("sftp-wait-for-file", pattern=f"{files}/none/*.csv", timeout_ms=0, context=CapabilityContext())


def _clock_that(sleeps: Any) -> Any:
    from runtara_sdk.clock import SystemClock

    clock = SystemClock()
    clock.sleep = sleeps  # type: ignore[method-assign]  # a clock of this test
    return clock


async def test_agents_are_independent(sftp_server: SftpServer) -> None:
    agents = [AgentDefinition.of(SftpAgent()) for _ in range(2)]
    for agent in agents:
        assert (await agent.invoke("stat", {"path": "/", "_connection": sftp_server.connection()}))["exists"]
        await agent.close()
