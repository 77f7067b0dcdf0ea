"""What `runtara new agent` makes works where users make it: installed, tested, checked, run, and run natively."""

from __future__ import annotations

import json
import re
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.clean_environment import REPOSITORY, CleanEnvironment, native_library

PLATFORM = ("runtara-environment", "runtara-compiler")
COMMANDS_FROM_NOTHING_TO_A_NATIVE_RUN = 6
INPUT = ("--input", '{"text": "Durable execution for products"}')
OUTPUT = {"text": "Durable execution..."}
TOKEN = "token-of-the-connection"


def documented_commands() -> list[list[str]]:
    """The way from nothing to a native run, as the README of the SDK tells it: one command a line."""
    readme = (REPOSITORY / "packages" / "runtara-sdk" / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^### Begin an agent\n.*?^```sh\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


@pytest.mark.native
def test_the_documented_commands_lead_to_a_native_run(clean_environment: CleanEnvironment, tmp_path: Path) -> None:
    for requirement in PLATFORM:
        clean_environment.install(requirement)
    commands = documented_commands()
    assert len(commands) <= COMMANDS_FROM_NOTHING_TO_A_NATIVE_RUN
    directory = tmp_path
    printed = []
    for command in commands:
        match command:
            case ["$EDITOR", path]:
                capability = directory / path
                capability.write_text(capability.read_text().replace("Shortens a text", "Abridges a text"))
            case ["pip", "install", "-e", "."]:
                clean_environment.install(f"--editable={directory}")
            case ["runtara", *arguments, "&&", "cd", project]:
                printed.append(succeed(clean_environment, *arguments, at=directory))
                directory = directory / project
            case ["runtara", *arguments]:
                printed.append(succeed(clean_environment, *arguments, at=directory))
            case other:
                pytest.fail(f"what is {shlex.join(other)}?")
    made, checked, ran, ran_natively = printed
    assert "pip install -e ." in made
    assert re.fullmatch(r"weather: (\d+) of \1 checks passed\n", checked)
    assert json.loads(ran) == json.loads(ran_natively) == OUTPUT
    assert "--native" in commands[-1]
    assert "Abridges a text" in succeed(clean_environment, "agents", "show", "weather", at=directory)
    passes_its_own_tests(clean_environment, directory)


def test_variants_of_new_agents_work_beside_each_other(clean_environment: CleanEnvironment, tmp_path: Path) -> None:
    for requirement in (*PLATFORM, "mypy"):
        clean_environment.install(requirement)
    variants = {
        "plain_async": ("--async", "--distribution", "Acme.Plain", "--licence", "Apache-2.0"),
        "connected_sync": ("--connection-type", "sync_service"),
        "connected_async": ("--async", "--connection-type", "async_service"),
    }
    for name, options in variants.items():
        made = clean_environment.run("runtara", "new", "agent", name, *options, "--json", at=tmp_path)
        assert made.returncode == 0, made.stderr
        project = tmp_path / json.loads(made.stdout)["directory"]
        clean_environment.install(f"--editable={project}")
        checked = clean_environment.run("runtara", "agents", "check", project.name)
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
        passes_its_own_tests(clean_environment, project)
        typed = clean_environment.run("mypy", at=project)
        assert typed.returncode == 0, typed.stdout
        if name == "plain_async":
            ran = clean_environment.run("runtara", "run", "scenarios/shorten.json", *INPUT, at=project)
            assert json.loads(ran.stdout or "null") == OUTPUT, ran.stderr
        else:
            sends_with_its_connection(clean_environment, name, options[-1], tmp_path)

    # Begun anew under another name, the id is taken.
    refused = clean_environment.run("runtara", "new", "agent", "plain_async", "--distribution", "other", at=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr == "error: Acme.Plain has an agent 'plain_async' already; choose another name\n"
    assert not (tmp_path / "other").exists()


def succeed(environment: CleanEnvironment, *arguments: str, at: Path) -> str:
    done = environment.run("runtara", *arguments, at=at, seconds=300, **native_library())
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passes_its_own_tests(environment: CleanEnvironment, project: Path) -> None:
    environment.install("pytest")
    tested = environment.run("pytest", "-q", "-p", "no:cacheprovider", at=project)
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
    assert "skipped" not in tested.stdout


def sends_with_its_connection(
    environment: CleanEnvironment, agent_id: str, connection_type: str, directory: Path
) -> None:
    scenario = directory / f"{agent_id}.json"
    send = {
        "stepType": "Agent",
        "agentId": agent_id,
        "capabilityId": "send-text",
        "connectionId": "service",
        "inputMapping": {"text": {"valueType": "immediate", "value": "hello"}},
    }
    status = {"status": {"valueType": "reference", "value": "steps.send.outputs.status"}}
    steps = {"send": send, "end": {"stepType": "Finish", "inputMapping": status}}
    plan = [{"fromStep": "send", "toStep": "end"}]
    scenario.write_text(json.dumps({"name": "Send", "entryPoint": "send", "steps": steps, "executionPlan": plan}))
    with running_services(connection_type) as services:
        url = f"http://127.0.0.1:{services.server_port}"
        ran = environment.run("runtara", "run", str(scenario), CONNECTION_SERVICE_URL=url)
    assert json.loads(ran.stdout or "null") == {"status": 202}, ran.stderr
    ((token, key, body),) = services.received
    assert (token, body) == (f"Bearer {TOKEN}", {"text": "hello"})
    assert key
    assert TOKEN not in ran.stdout + ran.stderr


class Services(ThreadingHTTPServer):
    """A connection service, and the service that its only connection leads to."""

    def __init__(self, connection_type: str) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        parameters = {"base_url": f"http://127.0.0.1:{self.server_port}", "token": TOKEN}
        self.connection = {"integration_id": connection_type, "parameters": parameters}
        self.received: list[tuple[str | None, str | None, object]] = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Services)
        assert self.path.startswith("/default/service")
        self._answer(200, json.dumps(self.server.connection).encode())

    def do_POST(self) -> None:
        assert isinstance(self.server, Services)
        assert self.path == "/texts"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.headers["Authorization"], self.headers["Idempotency-Key"], body))
        self._answer(202, b"")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def running_services(connection_type: str) -> Iterator[Services]:
    with Services(connection_type) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
