"""A child process that lists or calls agents is bounded and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runtara_environment.agents.agent_process import ProcessEnd, ProcessReport, run_agent_process
from runtara_environment.agents.child_process_host import _remove
from runtara_environment.agents.process_environment import process_environment
from runtara_sdk.agent_process.messages import CALL, CallOrder
from runtara_sdk.clock import SystemClock


async def called(directory: Path, *, max_answer_bytes: int = 100_000) -> ProcessReport:
    order = CallOrder(
        module="runtara_sdk.file_agent",
        attribute="file_agent",
        capability_id="file-write-file",
        deadline_ms=SystemClock().now_ms() + 60_000,
        max_result_bytes=100_000,
        inputs=b'{"path": "a.txt", "data": "written"}',
    )
    return await run_agent_process(
        CALL,
        order=order.encode(),
        environment=process_environment(directory, {}),
        directory=directory,
        timeout_seconds=60,
        max_answer_bytes=max_answer_bytes,
    )


async def test_a_call_is_answered_and_its_files_are_in_its_directory(tmp_path: Path) -> None:
    report = await called(tmp_path)
    assert (report.end, report.exit_code, report.errors) == (ProcessEnd.EXITED, 0, "")
    answer = json.loads(report.lines[-1])
    assert (answer["success"], answer["output"]["bytes_written"]) == (True, 7)
    assert (tmp_path / "workspace" / "a.txt").read_text() == "written"


async def test_an_answer_is_bounded(tmp_path: Path) -> None:
    report = await called(tmp_path, max_answer_bytes=10)
    assert (report.end, report.exit_code) == (ProcessEnd.SAID_TOO_MUCH, None)


async def test_time_is_bounded(tmp_path: Path) -> None:
    report = await run_agent_process(
        CALL,
        order=b"",  # it waits for one
        environment=process_environment(tmp_path, {}),
        directory=tmp_path,
        timeout_seconds=0.2,
        max_answer_bytes=10,
    )
    assert (report.end, report.exit_code, report.lines) == (ProcessEnd.TIME_OVER, None, ())


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
    inner = tmp_path / "call" / "deep"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0)
    _remove(tmp_path / "call")
    assert not (tmp_path / "call").exists()
