"""What a user gets wrong is told in one line that names the thing and the remedy; nothing is left half-written."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

VALID: dict[str, Any] = {
    "name": "Greet",
    "steps": {"finish": {"stepType": "Finish", "inputMapping": {"hi": {"valueType": "immediate", "value": 1}}}},
    "entryPoint": "finish",
    "executionPlan": [],
}


def with_step(step: dict[str, Any]) -> dict[str, Any]:
    return {
        **VALID,
        "steps": {"first": step, **VALID["steps"]},
        "entryPoint": "first",
        "executionPlan": [{"fromStep": "first", "toStep": "finish"}],
    }


UNKNOWN_STEP = with_step({"stepType": "Teleport"})
LATER_STEP = with_step({"stepType": "AiAgent"})
UNKNOWN_AGENT = with_step({"stepType": "Agent", "agentId": "htpp", "capabilityId": "request", "inputMapping": {}})
UNKNOWN_CAPABILITY = with_step({"stepType": "Agent", "agentId": "http", "capabilityId": "rquest", "inputMapping": {}})


def require_one_error(product: Any, finished: Any, *told: str) -> None:
    """One error line with all of `told`; exit code 1 or 2; no traceback; no temporary file and no image left."""
    assert finished.exit_code in (1, 2), finished
    assert finished.stdout == "", finished
    assert len(finished.errors) == 1, finished
    assert "Traceback" not in finished.stderr, finished
    for text in told:
        assert text in finished.errors[0], f"{text!r} is not told: {finished}"
    left = [path for path in product.data_dir.rglob("*") if path.is_file()] if product.data_dir.is_dir() else []
    half_written = [
        path
        for path in left
        if (path.name.startswith(".") and path.name != ".lock") or path.suffix in (".tmp", ".partial")
    ]
    assert half_written == []
    assert not list(product.data_dir.glob("images/*"))
    assert product.processes() == {}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"name": "x",\n  "steps": }', ("scenario.json", "line 2", "column 12")),
        ("", ("scenario.json",)),
        ("[1, 2]", ("scenario.json", "object")),
        (json.dumps(UNKNOWN_STEP), ("scenario.json", "first", "Teleport")),
        (json.dumps(LATER_STEP), ("scenario.json", "first", "AiAgent")),
        (json.dumps(UNKNOWN_AGENT), ("scenario.json", "first", "htpp", "http")),
        (json.dumps(UNKNOWN_CAPABILITY), ("scenario.json", "first", "rquest", "request")),
    ],
    ids=["malformed", "empty", "no object", "step type", "later step type", "agent", "capability"],
)
def test_a_bad_scenario(product, content, told) -> None:
    scenario = product.write("scenario.json", content)
    require_one_error(product, product.run("runtara", "run", scenario), *told)


def test_several_errors_take_a_line_each_and_the_compiler_command_tells_the_same(product) -> None:
    both = {**UNKNOWN_AGENT, "steps": {**UNKNOWN_AGENT["steps"], "loose": UNKNOWN_AGENT["steps"]["first"]}}
    scenario = product.write("scenario.json", both)
    finished = product.run(
        "runtara-compile", "--workflow", scenario, "--tenant", "demo", "--scenario", "s", "--output", "out.bin"
    )
    assert (finished.exit_code, finished.stdout) == (1, ""), finished
    assert len(finished.errors) >= 2
    assert "Traceback" not in finished.stderr
    assert not (product.directory / "out.bin").exists()
    assert not list(product.data_dir.rglob("*")) or not list(product.data_dir.rglob("scenario"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "missing.json"), ("missing.json",)),
        (("run", "."), ("directory",)),
        (("run", "good.json", "--input", "{'order': 1}"), ("--input", "column 2", "@FILE")),
        (("run", "good.json", "--input", "@missing.json"), ("--input", "missing.json")),
        (("run", "good.json", "--input", "[1, 2]"), ("--input", "object")),
        (("run", "good.json", "--input", '{"data": 5}'), ("--input", "data", "object")),
        (("run", "good.json", "--inptu", "{}"), ("--inptu", "--input")),
        (("run",), ("SCENARIO",)),
        (("rnu", "good.json"), ("rnu",)),
        (("run", "good.json", "--runner", "docker"), ("docker", "native")),
        (("run", "good.json", "--child", "a=missing.json"), ("missing.json",)),
        (("run", "good.json", "--child", "good.json"), ("--child", "=")),
        (("run", "good.json", "--instance-id", "../escape"), ("--instance-id", "../escape")),
        (("run", "good.json", "--instance-id", ""), ("--instance-id",)),
        (("run", "good.json", "--instance-id", "a b"), ("--instance-id", "a b")),
        (("run", "good.json", "--tenant", "../escape"), ("--tenant", "../escape")),
        (("run", "good.json", "--data-dir", "good.json/below"), ("good.json/below",)),
        (("run", "good.json", "--database-url", "mysql://127.0.0.1/x"), ("mysql", "postgres", "sqlite")),
        (("run", "good.json", "--database-url", "postgres://127.0.0.1:1/x"), ("127.0.0.1:1", "running")),
        (("run", "good.json", "--database-url", "sqlite:///good.json"), ("good.json",)),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) and len(value) > 2 else None,
)
def test_a_bad_command_line(product, arguments, told) -> None:
    product.write("good.json", VALID)
    require_one_error(product, product.run("runtara", *arguments), *told)


def test_no_c_compiler(product) -> None:
    product.write("good.json", VALID)
    empty = product.directory / "bin"
    empty.mkdir()
    finished = product.run(
        "runtara", "run", "good.json", "--native", PATH=str(empty), CC="", RUNTARA_NATIVE_LIBRARY_DIR=str(empty / "n")
    )
    require_one_error(product, finished, "C compiler", "install")


@pytest.mark.parametrize("daemon", ["runtara-core", "runtara-environment"])
@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, ("RUNTARA_DATABASE_URL", "postgres://")),
        ({"RUNTARA_DATABASE_URL": "postgres://127.0.0.1:1/x"}, ("127.0.0.1:1", "running")),
        ({"RUNTARA_DATABASE_URL": "sqlite:///here.db", "DATA_DIR": "file/below"}, ("file/below", "DATA_DIR")),
    ],
    ids=["no database", "database down", "data dir"],
)
def test_a_daemon_that_cannot_start(product, daemon, variables, told) -> None:
    product.write("file", "")
    require_one_error(product, product.run(daemon, **variables), *told)


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        (("runtara-core",), "RUNTARA_QUIC_PORT"),
        (("runtara-environment",), "RUNTARA_ENV_QUIC_PORT"),
        (("runtara", "dev", "--core-port", "0", "--port"), "--port"),
        (("runtara", "dev", "--port", "0", "--core-port"), "--core-port"),
    ],
    ids=["core", "environment", "dev", "dev core"],
)
def test_a_port_in_use(product, command, setting) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        if command[0] == "runtara":
            finished = product.run(*command, port)
        else:
            finished = product.run(
                *command, RUNTARA_DATABASE_URL=f"sqlite:///{product.directory}/d.db", **{setting: port}
            )
    require_one_error(product, finished, port, setting)
    # Not 2, as for a wrong configuration: a service manager may try it again.
    assert finished.exit_code == 1


def test_a_port_that_is_none(product) -> None:
    finished = product.run("runtara-core", RUNTARA_DATABASE_URL="sqlite:///here.db", RUNTARA_QUIC_PORT="eighty")
    require_one_error(product, finished, "RUNTARA_QUIC_PORT", "eighty")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("health",), ("127.0.0.1:1",)),
        (("register", "--binary", "missing.bin", "--tenant", "demo", "--name", "x"), ("missing.bin",)),
        (("start", "--image", "x", "--tenant", "demo", "--input", "{"), ("--input",)),
        (("wait", "x", "--timeout", "soon"), ("--timeout", "soon")),
    ],
    ids=["no environment", "no binary", "no JSON", "no number"],
)
def test_a_bad_operation(product, arguments, told) -> None:
    finished = product.run(
        "runtara-ctl",
        "--address",
        "127.0.0.1:1",
        *arguments,
        RUNTARA_SKIP_CERT_VERIFICATION="true",
        RUNTARA_CONNECT_TIMEOUT_MS="1000",
    )
    require_one_error(product, finished, *told)


def test_what_the_daemons_refuse(daemons) -> None:
    product = daemons.product
    program = Path(__file__).parents[2] / "examples" / "durable_batch.py"
    image_id = product.ctl("register", "--binary", program, "--tenant", "demo", "--name", "refused")
    known = product.processes()
    for arguments, told in (
        (("register", "--binary", program, "--tenant", "../up", "--name", "x"), "../up"),
        (("start", "--image", "no-such-image", "--tenant", "demo"), "no-such-image"),
        (("start", "--image", image_id, "--tenant", "demo", "--instance-id", "a/b"), "a/b"),
        (("start", "--image", image_id, "--tenant", "other"), image_id),
        (("cancel", "nobody"), "nobody"),
    ):
        finished = product.run("runtara-ctl", *arguments)
        assert finished.exit_code in (1, 2), finished
        assert (finished.stdout, len(finished.errors)) == ("", 1), finished
        assert told in finished.errors[0], finished
    assert product.processes().keys() == known.keys()
