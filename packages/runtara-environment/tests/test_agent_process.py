"""A child process that lists agents is bounded; what processes of agents are given; pipes of orders."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from runtara_environment.agents.agent_process import ProcessEnd, ProcessReport, run_agent_process
from runtara_environment.agents.call_directory import CallDirectory
from runtara_environment.agents.order_pipe import OrderPipe
from runtara_environment.agents.process_environment import process_environment
from runtara_sdk.agent_process.messages import LIST


async def listed(directory: Path, *, max_answer_bytes: int = 10, timeout_seconds: float = 60) -> ProcessReport:
    return await run_agent_process(
        LIST,
        order=b"",
        environment=process_environment(directory, {}),
        directory=directory,
        timeout_seconds=timeout_seconds,
        max_answer_bytes=max_answer_bytes,
    )


async def test_an_answer_is_bounded(tmp_path: Path) -> None:
    report = await listed(tmp_path)
    assert (report.end, report.exit_code) == (ProcessEnd.SAID_TOO_MUCH, None)


async def test_time_is_bounded(tmp_path: Path) -> None:
    report = await listed(tmp_path, timeout_seconds=0.01)
    assert (report.end, report.exit_code, report.lines) == (ProcessEnd.TIME_OVER, None, ())


async def test_a_pipe_waits_for_its_reader_and_ends_with_its_writer(tmp_path: Path) -> None:
    pipe = OrderPipe(tmp_path / "order")
    order = bytes(range(256)) * 4_096  # more than a pipe holds
    feeding = asyncio.create_task(pipe.feed(order))
    await asyncio.sleep(0)
    before = pipe.is_empty
    reader = os.open(tmp_path / "order", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with os.fdopen(reader, "rb") as stream:
        assert await asyncio.to_thread(stream.read, len(order)) == order
        await feeding
        assert (before, pipe.is_empty) == (False, True)
        end = asyncio.create_task(asyncio.to_thread(stream.read))
        pipe.close()
        assert await end == b""


def test_variables_are_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "RUNTARA_DATABASE_URL": "postgres://user:secret@host/database",
        "RUNTARA_API_KEY": "secret",
        "RUNTARA_MAX_FILE_SIZE": "5",
        "RUNTARA_STDLIB_NAME": "acme_stdlib",
        "RUNTARA_DISABLE_PLUGINS": "one",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    variables = process_environment(tmp_path, {"RUNTARA_HTTP_PRIVATE_NETWORKS": "refused"}, ["two"])
    assert "secret" not in "".join(variables.values())
    assert variables["RUNTARA_DISABLE_PLUGINS"] == "one,runtara.agents:two"
    kept = ("RUNTARA_MAX_FILE_SIZE", "RUNTARA_STDLIB_NAME", "RUNTARA_HTTP_PRIVATE_NETWORKS", "HOME")
    assert [variables[name] for name in kept] == ["5", "acme_stdlib", "refused", str(tmp_path)]


def test_directories_that_a_program_has_closed_are_removed(tmp_path: Path) -> None:
    directory = CallDirectory(tmp_path / "call")
    directory.make()
    inner = directory.run_directory / "deep"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0)
    directory.remove()
    assert not directory.path.exists()
