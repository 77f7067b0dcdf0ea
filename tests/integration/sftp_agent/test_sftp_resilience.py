"""What servers, connections and other people do to transfers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest
from runtara_agents_sftp.agent import sftp_agent
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.durable import DurableParts
from runtara_sdk.agents.workspace import Workspace

from .conftest import Call, code_of
from .sftp_server import Gate, SftpServer, running_server

WITHOUT_EXTENSIONS = "-P posix-rename,fsync,limits"


@pytest.fixture(scope="session")
def plain_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """A server that knows no more than version 3 of the protocol."""
    with running_server(tmp_path_factory.mktemp("plain") / "server", options=WITHOUT_EXTENSIONS) as server:
        yield server


async def test_a_server_without_extensions(
    plain_server: SftpServer, agent: AgentDefinition, context: CapabilityContext
) -> None:
    connection = plain_server.connection()
    path = plain_server.files / "a"
    content = os.urandom(5_000_001)
    with context.require_workspace().create("in") as file:
        file.write(content)
        file.commit()
    for _ in range(2):  # new, then over the old one
        given = {"path": str(path), "data": {"$file": "in"}, "_connection": connection}
        assert await agent.invoke("upload", given, context) == len(content)
        assert path.read_bytes() == content
    got = await agent.invoke("download", {"path": str(path), "save_to": "out", "_connection": connection}, context)
    assert got["sha256"] == hashlib.sha256(content).hexdigest()
    (plain_server.files / "b").write_text("old")
    moving = {"source": str(path), "destination": f"{plain_server.files}/b", "_connection": connection}
    with pytest.raises(AgentError, match="SFTP_ALREADY_EXISTS"):
        await agent.invoke("move", moving, context)
    await agent.invoke("move", {**moving, "overwrite": True}, context)
    assert [each.name for each in plain_server.files.iterdir()] == ["b"]
    assert (plain_server.files / "b").read_bytes() == content


@pytest.mark.parametrize("renames", [1, 2])
async def test_a_death_between_two_renames_keeps_the_old_file_or_the_new_one(
    renames: int, plain_server: SftpServer, agent: AgentDefinition, context: CapabilityContext, tmp_path: Path
) -> None:
    from .test_deaths import run

    files = plain_server.files / tmp_path.name
    files.mkdir()
    (files / "a").write_text("old")
    given = {"path": f"{files}/a", "content": "new", "_connection": plain_server.connection()}
    run("sftp-upload-file", given, tmp_path / "w", ("rename", renames))
    assert sorted({each.read_text() for each in files.iterdir()}) != []
    assert "old" in {each.read_text() for each in files.iterdir()} or (files / "a").read_text() == "new"
    assert run("sftp-upload-file", given, tmp_path / "w") == 3
    assert {each.name: each.read_text() for each in files.iterdir()} == {"a": "new"}


@pytest.mark.parametrize("direction", ["download", "upload"])
async def test_a_cancelled_transfer_ends_though_the_server_is_silent(
    direction: str, sftp_server: SftpServer, files: Path, tmp_path: Path
) -> None:
    content = os.urandom(8_000_000)
    (files / "in").write_bytes(content)
    context = CapabilityContext(workspace=Workspace(tmp_path / "w"))
    with context.require_workspace().create("out") as file:
        file.write(content)
        file.commit()
    async with Gate(sftp_server.port) as gate:
        gate.passes = 3_000_000
        given: dict[str, Any] = {"_connection": sftp_server.connection(port=gate.port, progress_timeout_ms=60_000)}
        if direction == "download":
            given |= {"path": f"{files}/in", "save_to": "in"}
        else:
            given |= {"path": f"{files}/out", "data": {"$file": "out"}}
        call = asyncio.create_task(sftp_agent.invoke(direction, given, context))
        while gate.passed <= gate.passes:
            await asyncio.sleep(0.01)
            assert not call.done()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ends_at = time.monotonic() + 5
        while any(thread.name.startswith("capability sftp") for thread in threading.enumerate()):
            assert time.monotonic() < ends_at, "the thread goes on waiting for the server"
            await asyncio.sleep(0.01)


async def test_a_file_that_is_written_while_it_is_read_is_refused(
    sftp_server: SftpServer, files: Path, call: Call, context: CapabilityContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = files / "a"
    path.write_bytes(b"a" * 1000)
    stat = paramiko.SFTPFile.stat

    def later(file: paramiko.SFTPFile) -> paramiko.SFTPAttributes:
        path.write_bytes(b"b" * 1000)
        os.utime(path, (1, 1))
        return stat(file)

    monkeypatch.setattr(paramiko.SFTPFile, "stat", later)
    with pytest.raises(AgentError) as caught:
        await call("download", path=str(path), save_to="a")
    assert (caught.value.code, caught.value.retryable) == ("SFTP_READ_ERROR", True)
    monkeypatch.undo()
    assert (await call("download", path=str(path), save_to="a"))["sha256"] == hashlib.sha256(b"b" * 1000).hexdigest()


async def test_permissions(files: Path, call: Call) -> None:
    path = files / "a"
    path.write_text("old")
    path.chmod(0o600)
    await call("upload", path=str(path), content="new")
    assert path.stat().st_mode & 0o777 == 0o600  # what is private stays private
    await call("upload", path=str(path), content="newer", mode=0o640)
    assert path.stat().st_mode & 0o777 == 0o640
    await call("upload", path=str(path), content="newest", verify_size=False, mode=0o444)
    assert path.stat().st_mode & 0o777 == 0o444
    assert await call("upload", path=str(path), content="once more") == 9
    assert path.read_text() == "once more"


async def test_names_that_are_no_unicode_text(files: Path, call: Call) -> None:
    (files / "d").mkdir()
    raw = os.fsencode(f"{files}/d/") + b"caf\xe9.csv"
    Path(os.fsdecode(raw)).write_text("x")
    (files / "d" / "plain.csv").write_text("y")
    listed = await call("list", path=f"{files}/d", sort="name")
    assert [each["name"] for each in listed] == ["caf\ufffd.csv", "plain.csv"]
    removed = await call("rmdir", path=f"{files}/d", recursive=True)
    assert removed["items_deleted"] == 3
    assert not (files / "d").exists()


async def test_pipes_and_devices_are_no_files(files: Path, call: Call) -> None:
    os.mkfifo(files / "pipe")
    assert await code_of(call, "download", path=f"{files}/pipe") == "SFTP_FILE_NOT_FOUND"


async def test_a_batch_goes_on_after_a_broken_connection(
    sftp_server: SftpServer, files: Path, agent: AgentDefinition, context: CapabilityContext
) -> None:
    contents = {f"{number}.bin": os.urandom(700_000) for number in range(6)}
    for name, content in contents.items():
        (files / name).write_bytes(content)
    async with Gate(sftp_server.port) as gate:
        gate.passes, gate.hangs_up = 2_000_000, True

        async def heal() -> None:
            while gate.passed <= 2_000_000:
                await asyncio.sleep(0.01)
            gate.passes = None

        healing = asyncio.create_task(heal())
        given = {
            "pattern": f"{files}/*.bin",
            "save_to": "in",
            "concurrency": 2,
            "_connection": sftp_server.connection(port=gate.port),
        }
        result = await agent.invoke("download-files", given, context)
        await healing
    assert (result["succeeded"], result["failed"]) == (6, 0)
    for name, content in contents.items():
        with context.require_workspace().open(f"in/{name}") as stream:
            assert stream.read() == content


async def test_a_batch_does_not_try_refused_credentials_file_by_file(
    sftp_server: SftpServer, files: Path, agent: AgentDefinition, context: CapabilityContext
) -> None:
    for number in range(20):
        with context.require_workspace().create(f"out/{number}.csv") as file:
            file.write(b"x")
            file.commit()
    async with Gate(sftp_server.port) as gate:
        connection = sftp_server.connection(port=gate.port, username="nobody-of-that-name")
        given = {"pattern": "out/*.csv", "path": str(files), "concurrency": 2, "_connection": connection}
        with pytest.raises(AgentError, match="SFTP_AUTH_FAILED"):
            await agent.invoke("upload-files", given, context)


async def test_a_wait_outlives_a_server_that_is_away(
    sftp_server: SftpServer,
    files: Path,
    agent: AgentDefinition,
    context: CapabilityContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded: list[str] = []

    class Recording(DurableParts):
        async def checkpoint(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
            value = await work()
            recorded.append(name)
            return value

    async def until(holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.01)
            assert not waiting.done()

    async with Gate(sftp_server.port) as gate:
        parameters = {"port": gate.port, "progress_timeout_ms": 500, "connect_timeout_ms": 500}
        given = {"pattern": f"{files}/*.csv", "interval_ms": 100, "stable_ms": 0, "timeout_ms": 60_000}
        connection = sftp_server.connection(**parameters)
        context = replace(context, durable=Recording())
        waiting = asyncio.create_task(agent.invoke("wait-for-file", {**given, "_connection": connection}, context))
        await until(lambda: "reached" in recorded)
        gate.passes = gate.passed
        await until(lambda: "goes on" in caplog.text)
        assert not waiting.done()
        (files / "a.csv").write_text("x")
        gate.passes = None
        found = await asyncio.wait_for(waiting, 30)
    assert [each["name"] for each in found["files"]] == ["a.csv"]


async def test_each_thread_has_a_session_of_its_own(
    sftp_server: SftpServer, files: Path, agent: AgentDefinition, context: CapabilityContext
) -> None:
    from runtara_agents_sftp.wire import WireClient

    users: dict[int, set[int]] = {}
    at_work: dict[int, int] = {}
    shared: list[int] = []
    plain = WireClient.stat

    def watched(client: WireClient, path: Any) -> Any:
        me = threading.get_ident()
        if at_work.setdefault(id(client), me) != me:
            shared.append(id(client))
        users.setdefault(id(client), set()).add(me)
        try:
            return plain(client, path)
        finally:
            at_work.pop(id(client), None)

    for number in range(40):
        (files / f"{number}.csv").write_text(str(number))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WireClient, "stat", watched)
        given = {"pattern": f"{files}/*.csv", "save_to": "in", "concurrency": 8}
        result = await agent.invoke("download-files", {**given, "_connection": sftp_server.connection()}, context)
    assert result["succeeded"] == 40
    assert not shared
    assert 1 <= len(users) <= 8


async def test_an_upload_through_a_jump_host_does_not_wait_for_ever(
    sftp_server: SftpServer, files: Path, agent: AgentDefinition, context: CapabilityContext, tmp_path: Path
) -> None:
    with context.require_workspace().create("out") as file:
        for _ in range(20):
            file.write(os.urandom(2_000_000))
        file.commit()
    with running_server(tmp_path / "jump") as jump:
        async with Gate(sftp_server.port) as gate:
            gate.passes = 3_000_000
            through = jump.connection()["parameters"]
            connection = sftp_server.connection(port=gate.port, progress_timeout_ms=1000, jump_host=through)
            given = {"path": f"{files}/a", "data": {"$file": "out"}, "_connection": connection}
            with pytest.raises(AgentError) as caught:
                await asyncio.wait_for(agent.invoke("upload", given, context), 20)
    assert caught.value.retryable
    assert caught.value.code in ("SFTP_TIMEOUT", "SFTP_CONNECTION_ERROR")
