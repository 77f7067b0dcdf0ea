"""What `runtara new` makes works where users make it, side by side in one environment, and together in one binary."""

from __future__ import annotations

import json
import re
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clean_environment import (
    CleanEnvironment,
    make_environment,
    native_library,
    passes_its_own_tests,
)

PLATFORM = (
    "runtara-environment[testing]",
    "runtara-core[testing]",
    "runtara-compiler",
    "runtara-workflow-stdlib",
    "mypy",
    "pytest",
)
KINDS = {
    "plain_sync": ("agent", "plain_sync"),
    "plain_async": ("agent", "plain_async", "--async", "--distribution", "Acme.Plain", "--licence", "Apache-2.0"),
    "connected_sync": ("agent", "connected_sync", "--connection-type", "sync_service"),
    "connected_async": ("agent", "connected_async", "--async", "--connection-type", "async_service"),
    "storage": ("storage", "night_ledger"),
    "runner": ("runner", "night_runner"),
    "stdlib": ("stdlib", "acme"),
}
AGENTS = ("plain_sync", "plain_async", "connected_sync", "connected_async")
PRINTED = {"storage": {"hello": "Ada"}, "runner": {"hello": "Ada"}, "stdlib": {"reference": "ACME-000042"}}
SHORTENED = "Durable execution..."
LARGEST_FILE_BYTES = 10 << 30
"""The bound of the runner that is begun."""

DEADLINE_SECONDS = 60
TOKEN = "token-of-the-connection"


@dataclass(frozen=True)
class BegunProjects:
    """Projects of all kinds, installed from their directories."""

    environment: CleanEnvironment
    directory: Path
    paths: dict[str, Path]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, constraints: Path) -> BegunProjects:
    directory = tmp_path_factory.mktemp("begun")
    environment = make_environment(directory / "environment", constraints)
    environment.install(*PLATFORM)
    paths = {}
    for name, arguments in KINDS.items():
        made = environment.run("runtara", "new", *arguments, "--json", at=directory)
        assert made.returncode == 0, made.stderr
        paths[name] = directory / json.loads(made.stdout)["directory"]
    environment.install(*(f"--editable={path}" for path in paths.values()))
    return BegunProjects(environment, directory, paths)


@pytest.mark.parametrize("name", KINDS)
def test_a_project_is_tested_and_typed(name: str, begun: BegunProjects) -> None:
    passes_its_own_tests(begun.environment, begun.paths[name])
    cache = str(begun.directory / "mypy-cache")
    typed = begun.environment.run("mypy", at=begun.paths[name], MYPY_CACHE_DIR=cache, seconds=120)
    assert typed.returncode == 0, typed.stdout


@pytest.mark.parametrize("name", ["connected_async", "storage", "runner", "stdlib"])
def test_the_commands_of_its_readme_work(name: str, begun: BegunProjects) -> None:
    project = begun.paths[name]
    variables: dict[str, str] = {}
    printed = []
    for words in commands_of(project / "README.md"):
        match words:
            case ["export", assignment]:
                variables |= [assignment.split("=", 1)]
            case ["runtara", *_] if "--native" in words:
                pass  # natively, all of them are called together
            case ["runtara", *arguments]:
                done = begun.environment.run("runtara", *arguments, at=project, **variables)
                assert done.returncode == 0, done.stdout + done.stderr
                printed.append(done.stdout)
            case ["cat", path]:
                changes = [json.loads(line)["change"] for line in (project / path).read_text().splitlines()]
                assert changes == ["created", "ended"]
            case other:
                assert other == ["pip", "install", "--editable", "."]
    assert json.loads(printed[-1]) == PRINTED.get(name, {"text": SHORTENED})


def test_the_bundle_is_what_workflows_are_offered(begun: BegunProjects) -> None:
    offered = {}
    for bundle in ("runtara_workflow_stdlib", "acme_stdlib"):
        shown = begun.environment.run("runtara", "compile", "--spec", RUNTARA_STDLIB_NAME=bundle)
        offered[bundle] = {agent["id"] for agent in json.loads(shown.stdout)["agents"]}
    assert "http" in offered["runtara_workflow_stdlib"]
    assert offered["acme_stdlib"] == (offered["runtara_workflow_stdlib"] - {"http"}) | {"acme"}


def test_the_storage_keeps_what_a_later_run_asks_for(begun: BegunProjects, tmp_path: Path) -> None:
    scenario = begun.paths["storage"] / "scenarios" / "greeting.json"
    command = ("run", str(scenario), "--json", "--instance-id", "ada", "--database-url", "night-ledger:///state.db")
    first = begun.environment.run("runtara", *command, "--input", '{"name": "Ada"}', at=tmp_path)
    assert json.loads(first.stdout)["output"] == {"hello": "Ada"}, first.stderr
    again = json.loads(begun.environment.run("runtara", *command, at=tmp_path).stdout)
    assert (again["output"], again["already_finished"]) == ({"hello": "Ada"}, True)
    # Elsewhere nothing of it is known.
    other = (*command[:-1], "night-ledger:///other.db", "--input", '{"name": "Bob"}')
    assert json.loads(begun.environment.run("runtara", *other, at=tmp_path).stdout)["output"] == {"hello": "Bob"}

    # A program without a daemon takes the same URL.
    program = (
        "import asyncio; from runtara_sdk import RuntaraSdk\n"
        "async def main():\n"
        "    async with RuntaraSdk.embedded('night-ledger:///state.db', 'batch', 'default') as sdk:\n"
        "        print((await sdk.checkpoint('a', b'1')).found)\n"
        "asyncio.run(main())\n"
    )
    for expected in ("False", "True"):
        ran = begun.environment.run("python", "-c", program, at=tmp_path)
        assert ran.stdout.strip() == expected, ran.stderr


@pytest.mark.parametrize(
    ("options", "variables"), [(("--runner", "night_runner"), {}), ((), {"RUNTARA_RUNNER": "night_runner"})]
)
def test_the_runner_bounds_the_programs_of_a_run(
    options: tuple[str, ...], variables: dict[str, str], begun: BegunProjects, tmp_path: Path
) -> None:
    delay = {"stepType": "Delay", "durationMs": {"valueType": "immediate", "value": 1500}}
    scenario = {
        "name": "Wait",
        "entryPoint": "wait",
        "steps": {"wait": delay, "end": {"stepType": "Finish"}},
        "executionPlan": [{"fromStep": "wait", "toStep": "end"}],
    }
    (tmp_path / "wait.json").write_text(json.dumps(scenario))
    running = begun.environment.start("runtara", "run", "wait.json", *options, at=tmp_path, **variables)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not bounded_programs(tmp_path / ".data"):
            assert running.poll() is None, running.communicate()
            assert time.monotonic() < deadline, "no program has the bound of the runner"
            time.sleep(0.01)
        _, errors = running.communicate(timeout=DEADLINE_SECONDS)
    finally:
        running.kill()
    assert running.returncode == 0, errors


def test_a_runner_that_is_not_installed_is_refused(begun: BegunProjects) -> None:
    project = begun.paths["runner"]
    command = ("run", "scenarios/greeting.json", "--input", '{"name": "Ada"}', "--runner", "nightrunner")
    refused = begun.environment.run("runtara", *command, at=project)
    assert refused.returncode == 2
    assert "error: there is no runner 'nightrunner': installed are native, night_runner, oci\n" in refused.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plain_async", "Acme.Plain has an agent 'plain_async' already; choose another name"),
        ("storage", "runtara-storage-night-ledger has a storage 'night-ledger' already; choose another name"),
        ("runner", "runtara-runner-night-runner has a runner 'night_runner' already; choose another name"),
    ],
)
def test_its_name_is_taken_for_others(name: str, reason: str, begun: BegunProjects, tmp_path: Path) -> None:
    kind, project, *_ = KINDS[name]
    refused = begun.environment.run("runtara", "new", kind, project, "--distribution", "other", at=tmp_path)
    assert (refused.returncode, refused.stderr) == (2, f"error: {reason}\n")
    assert list(tmp_path.iterdir()) == []
    again = begun.environment.run("runtara", "new", *KINDS[name], at=tmp_path)  # begun anew, it is the same
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize("name", ["plain_sync", "plain_async", "connected_sync"])  # the README of the last does it
def test_an_agent_is_checked(name: str, begun: BegunProjects) -> None:
    checked = begun.environment.run("runtara", "agents", "check", begun.paths[name].name)
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "options",
    [pytest.param((), id="python"), pytest.param(("--native",), id="native", marks=pytest.mark.native)],
)
def test_everything_works_together(options: tuple[str, ...], begun: BegunProjects, tmp_path: Path) -> None:
    """One scenario of the bundle calls each agent, on the runner and with the storage."""
    (tmp_path / "all.json").write_text(json.dumps(scenario_of_everything()))
    with running_services() as services:
        ran = begun.environment.run(
            "runtara",
            "run",
            "all.json",
            *("--runner", "night_runner", "--database-url", "night-ledger:///state.db", *options),
            at=tmp_path,
            seconds=600,
            RUNTARA_STDLIB_NAME="acme_stdlib",
            CONNECTION_SERVICE_URL=f"http://127.0.0.1:{services.server_port}",
            **native_library(),
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    expected: dict[str, Any] = {f"{agent}_shorten": SHORTENED for agent in AGENTS}
    expected |= {"plain_sync_save": "plain_sync.txt", "plain_async_save": "plain_async.txt"}
    expected |= {"connected_sync_send": 202, "connected_async_send": 202, "acme_reference": "ACME-000042"}
    assert json.loads(ran.stdout) == expected
    assert [(token, body) for token, _, body in services.received] == [
        (f"Bearer {TOKEN}-of-{connection}", {"text": f"from {agent}"})
        for agent, connection in (("connected_sync", "sync_service"), ("connected_async", "async_service"))
    ]
    assert all(key for _, key, _ in services.received)
    assert TOKEN not in ran.stdout + ran.stderr
    changes = [json.loads(line)["change"] for line in (tmp_path / "state.db.audit.jsonl").read_text().splitlines()]
    assert changes == ["created", "ended"]


def commands_of(readme: Path) -> list[list[str]]:
    block = re.search(r"^## Use\n\n```sh\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert block is not None
    return [shlex.split(line) for line in block[1].splitlines()]


def bounded_programs(data_dir: Path) -> list[Path]:
    """Processes that run below a data directory with the runner's bound of files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(data_dir):
                limits = (process / "limits").read_text()
                if re.search(rf"^Max file size +{LARGEST_FILE_BYTES} ", limits, re.MULTILINE):
                    found.append(process)
        except OSError:
            continue  # it has ended, or belongs to somebody else
    return found


def scenario_of_everything() -> dict[str, Any]:
    """Each agent's capabilities one after the other; the output has a field for each step."""
    steps: dict[str, Any] = {}
    outputs = {}

    def call(agent: str, capability: str, field: str, connection: str | None = None, **inputs: Any) -> None:
        name = f"{agent}_{capability.partition('-')[0]}"
        mapping = {key: {"valueType": "immediate", "value": value} for key, value in inputs.items()}
        steps[name] = {
            "stepType": "Agent",
            "agentId": agent,
            "capabilityId": capability,
            "inputMapping": mapping,
            **({} if connection is None else {"connectionId": connection}),
        }
        outputs[name] = {"valueType": "reference", "value": f"steps.{name}.outputs{field}"}

    for agent in AGENTS:
        call(agent, "shorten", ".text", text="Durable execution for products", max_length=20)
    for agent in ("plain_sync", "plain_async"):
        call(agent, "save-text", "['$file']", path=f"{agent}.txt", text=agent)
    for agent in ("connected_sync", "connected_async"):
        call(agent, "send-text", ".status", connection=f"{agent.partition('_')[2]}_service", text=f"from {agent}")
    call("acme", "reference", ".reference", number=42)
    steps["end"] = {"stepType": "Finish", "inputMapping": outputs}
    names = list(steps)
    plan = [{"fromStep": first, "toStep": second} for first, second in pairwise(names)]
    return {"name": "Everything", "entryPoint": names[0], "steps": steps, "executionPlan": plan}


class Services(ThreadingHTTPServer):
    """A connection service, whose connections have the name of their type, and the service that they lead to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.received: list[tuple[str | None, str | None, object]] = []


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Services)
        connection = self.path.removeprefix("/default/").partition("?")[0]
        base_url = f"http://127.0.0.1:{self.server.server_port}"
        parameters = {"base_url": base_url, "token": f"{TOKEN}-of-{connection}"}
        self._answer(200, json.dumps({"integration_id": connection, "parameters": parameters}).encode())

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
def running_services() -> Iterator[Services]:
    with Services() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
