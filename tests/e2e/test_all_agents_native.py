"""Orders by SFTP, read, shaped, posted and sent back: all agent families in one native binary, killed everywhere."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from runtara_compiler import CompilationInput, compile_scenario

from tests.integration.sftp_agent.sftp_server import SftpServer, running_server

pytestmark = [pytest.mark.native, pytest.mark.timeout(1200)]

RUN_SECONDS = 60
ROWS = "".join(f"SKU-{number};{number}\n" for number in range(100))
SECRET_LINE = "BEGIN OPENSSH PRIVATE KEY"


def reference(path: str) -> dict[str, Any]:
    return {"valueType": "reference", "value": path}


def immediate(value: Any) -> dict[str, Any]:
    return {"valueType": "immediate", "value": value}


def agent(agent_id: str, capability_id: str, inputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "stepType": "Agent",
        "agentId": agent_id,
        "capabilityId": capability_id,
        "inputMapping": inputs,
        "retryDelay": 50,
        **fields,
    }


LARGE_ONLY = {"type": "operation", "op": "GTE", "arguments": [reference("qty"), immediate(90)]}

SCENARIO: dict[str, Any] = {
    "name": "Orders of a partner",
    "entryPoint": "fetch",
    "steps": {
        "fetch": agent(
            "sftp",
            "sftp-download-file",
            {"path": reference("data.source"), "save_to": immediate("in/orders.csv")},
            connectionId="partner",
        ),
        "parse": agent(
            "csv",
            "from-csv",
            {
                "data": reference("steps.fetch.outputs.file"),
                "delimiter": immediate("auto"),
                "types": immediate({"qty": "integer"}),
                "where": immediate(LARGE_ONLY),
            },
        ),
        "shape": agent(
            "transform",
            "map-items",
            {"value": reference("steps.parse.outputs"), "mapping": immediate({"article": "sku", "count": "qty"})},
        ),
        "post": agent(
            "http", "http-request", {"url": reference("data.shop"), "body": reference("steps.shape.outputs.items")}
        ),
        "write": agent(
            "csv",
            "to-csv",
            {
                "value": reference("steps.post.outputs.body.accepted"),
                "output": immediate("file"),
                "path": immediate("out/accepted.csv"),
            },
        ),
        "send": agent(
            "sftp",
            "sftp-upload-file",
            {"path": reference("data.target"), "data": reference("steps.write.outputs.file")},
            connectionId="partner",
        ),
        "finish": {"stepType": "Finish", "inputMapping": {"sent": reference("steps.send.outputs")}},
    },
    "executionPlan": [
        {"fromStep": first, "toStep": second}
        for first, second in zip(
            ["fetch", "parse", "shape", "post", "write", "send"],
            ["parse", "shape", "post", "write", "send", "finish"],
            strict=True,
        )
    ],
}


@dataclass
class World:
    """The connection service and the shop; a request may kill the program that makes it."""

    connection: dict[str, Any]
    url: str = ""
    posts: list[tuple[str | None, Any]] = field(default_factory=list)
    asked_by: list[str] = field(default_factory=list)
    kill: Callable[[str], None] = lambda _: None

    def begin(self) -> None:
        self.posts.clear()
        self.asked_by.clear()
        self.kill = lambda _: None


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    with running_server(tmp_path_factory.mktemp("sshd") / "server") as server:
        yield server


@pytest.fixture(scope="module")
def world(sftp: SftpServer) -> Iterator[World]:
    state = World(sftp.connection())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            step = parse_qs(urlsplit(self.path).query)["stepId"][0]
            state.asked_by.append(step)
            state.kill(f"connection of {step}")
            self._answer(state.connection)

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.posts.append((self.headers.get("Idempotency-Key"), content))
            state.kill("post")
            self._answer({"accepted": content})

        def _answer(self, document: Any) -> None:
            content = json.dumps(document).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the program is dead

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def binary(native_library_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNTARA_NATIVE_LIBRARY_DIR", str(native_library_dir))
        given = CompilationInput(
            tenant_id="acme",
            scenario_id="orders",
            version=1,
            execution_graph=SCENARIO,
            target="native",
            data_dir=tmp_path_factory.mktemp("compiled"),
        )
        return asyncio.run(compile_scenario(given, progress=print)).binary_path


class Program:
    """One instance of the binary on an SQLite file of its own."""

    def __init__(self, binary: Path, world: World, sftp: SftpServer, directory: Path) -> None:
        self.directory = directory
        self.remote = sftp.files / directory.name
        self.remote.mkdir()
        (self.remote / "orders.csv").write_text("sku;qty\n" + ROWS)
        given = {
            "source": f"{self.remote}/orders.csv",
            "target": f"{self.remote}/accepted.csv",
            "shop": f"{world.url}/orders",
        }
        self.command = [str(binary), "--input", json.dumps(given), "--server", f"sqlite:///{directory}/run.db"]
        self.command += ["--instance-id", "i-1"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "CONNECTION_SERVICE_URL": world.url,
            "RUNTARA_CONNECTION_TTL_MS": "0",
            "RUNTARA_NATIVE_CACHE_DIR": str(directory.parent / "layers"),
        }
        self.process: subprocess.Popen[str] | None = None

    def run(self, *, until_checkpoints: int | None = None) -> tuple[int, str, str]:
        """Run to the end, or to the death."""
        process = self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if until_checkpoints is not None:
            self._kill_at(process, until_checkpoints)
        out, err = process.communicate(timeout=RUN_SECONDS)
        return process.returncode, out, err

    def kill(self) -> None:
        """As a power cut ends it."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(RUN_SECONDS)

    def _kill_at(self, process: subprocess.Popen[str], checkpoints: int) -> None:
        ends_at = time.monotonic() + RUN_SECONDS
        while process.poll() is None and time.monotonic() < ends_at:
            if self.checkpoints() >= checkpoints:
                process.kill()
                return
            time.sleep(0.001)  # between two looks

    def reported(self) -> str | None:
        """The result that the store has; None when the instance is not completed."""
        with closing(sqlite3.connect(f"file:{self.directory}/run.db?mode=ro", uri=True)) as database:
            row = database.execute("SELECT output FROM instances WHERE status = 'completed'").fetchone()
        return None if row is None else bytes(row[0]).decode()

    def checkpoints(self) -> int:
        try:
            with closing(sqlite3.connect(f"file:{self.directory}/run.db?mode=ro", uri=True)) as database:
                return int(database.execute("SELECT count(*) FROM checkpoints").fetchone()[0])
        except sqlite3.Error:  # it is not there yet
            return 0


@pytest.fixture
def program(binary: Path, world: World, sftp: SftpServer, tmp_path: Path) -> Program:
    world.begin()
    return Program(binary, world, sftp, tmp_path)


def check(program: Program, world: World, outcome: tuple[int, str, str]) -> None:
    code, out, err = outcome
    assert code == 0, err
    lines = "".join(f"SKU-{number},{number}\n" for number in range(90, 100))
    accepted = program.remote / "accepted.csv"
    assert accepted.read_text() == f"article,count\n{lines}"
    assert json.loads(out) == {"sent": accepted.stat().st_size}
    assert sorted(path.name for path in program.remote.iterdir()) == ["accepted.csv", "orders.csv"]
    assert len({key for key, _ in world.posts}) == 1, "the shop knows a repetition by its key"
    assert len(world.posts) <= 2
    database = b"".join(path.read_bytes() for path in program.directory.glob("run.db*") if path.is_file())
    assert SECRET_LINE.encode() not in database
    assert SECRET_LINE not in out + err


def test_undisturbed(program: Program, world: World) -> None:
    check(program, world, program.run())
    assert len(world.posts) == 1


@pytest.mark.parametrize("place", ["connection of fetch", "post", "connection of send"])
def test_killed_in_the_middle_of_a_call(place: str, program: Program, world: World) -> None:
    def kill(where: str) -> None:
        if where == place:
            world.kill = lambda _: None
            program.kill()

    world.kill = kill
    assert program.run()[0] == -signal.SIGKILL
    check(program, world, program.run())


@pytest.mark.parametrize("checkpoints", range(1, 7))
def test_killed_after_each_step(checkpoints: int, program: Program, world: World) -> None:
    first = program.run(until_checkpoints=checkpoints)
    # After the last step the program may have reported its result, and may have ended, before the kill came to it.
    reported = program.reported()
    check(program, world, (0, reported, first[2]) if reported is not None else program.run())
