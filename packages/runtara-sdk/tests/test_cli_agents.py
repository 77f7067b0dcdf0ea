"""`runtara agents`: listing, showing, calling and checking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, capability
from runtara_sdk.agents.discovered_agent import DiscoveredAgent
from runtara_sdk.agents.discovery import DiscoveredAgents
from runtara_sdk.cli.main import runtara
from runtara_sdk.errors import ConfigurationError, InvalidInputError


class Nothing(BaseModel):
    """No inputs."""


@capability(id="bare")
def bare(inputs: Nothing) -> int:
    return 1


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(runtara, ["agents", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_what_is_installed_is_listed() -> None:
    code, out, _ = run("list")
    assert code == 0
    assert any(line.split()[:3] == ["file", "10", "runtara-sdk"] for line in out.splitlines())
    documents = json.loads(run("list", "--json")[1])
    assert "file" in [document["id"] for document in documents]


def test_a_capability_is_shown_with_an_example() -> None:
    _, out, _ = run("show", "file", "append-file")
    assert out.startswith("file file-append-file: Adds to the end of a file")
    for part in ("keyed", "required", "default true", "total_size", "FILE_TOO_LARGE", 'example: {"path": "in/a.csv"'):
        assert part in out
    assert any(line.split()[:2] == ["data", "file"] for line in out.splitlines())
    document = json.loads(run("show", "file", "file-append-file", "--json")[1])
    assert document["inputSchema"]["properties"]["newline"]["type"] == "boolean"
    assert "outputSchema" in document
    assert "file-read-file" in run("show", "file")[1]
    assert json.loads(run("show", "file", "--json")[1])["id"] == "file"


def test_a_capability_is_called(tmp_path: Path) -> None:
    code, out, _ = run("test", "file", "write", "--input", '{"path": "a", "data": "x"}', "--workspace", str(tmp_path))
    assert (code, json.loads(out)["bytes_written"], (tmp_path / "a").read_text()) == (0, 1, "x")
    code, out, err = run("test", "file", "read", "--input", '{"path": "nowhere", "pth": 1}')
    assert (code, out) == (1, "")
    assert "note: file-read-file has no input pth" in err
    assert "error: [FILE_NOT_FOUND] there is no file 'nowhere'" in err
    code, out, _ = run("test", "file", "read", "--json", "--input", '{"path": "nowhere"}')
    outcome = json.loads(out)
    assert (code, outcome["success"], outcome["error"]["code"]) == (1, False, "FILE_NOT_FOUND")
    assert outcome["execution_time_ms"] >= 0


def test_wrong_names_have_a_remedy() -> None:
    with pytest.raises(InvalidInputError, match="no agent 'fil' is installed; did you mean 'file'"):
        run("show", "fil")
    with pytest.raises(InvalidInputError, match="must be a JSON object"):
        run("test", "file", "read", "--input", "[]")
    with pytest.raises(InvalidInputError, match=r"no installed distribution 'nothing' has.*RUNTARA_STDLIB_NAME"):
        run("check", "nothing")


def test_a_distribution_is_checked() -> None:
    code, out, _ = run("check", "Runtara_SDK", "--json")
    document = json.loads(out)
    assert (code, document["passed"], document["broken"]) == (0, True, [])
    (checked,) = document["agents"]
    assert checked["agentId"] == "file"
    assert {"name": "is discovered", "passed": True, "problems": []} in checked["checks"]


def test_native_builds_must_be_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "runtara.services:compiler")
    with pytest.raises(ConfigurationError, match=r"--native: plugin compiler of runtara\.services is switched off"):
        run("check", "runtara-sdk", "--native")


def test_what_is_to_be_mended_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    definition = AgentDefinition(id="sloppy", capabilities=[bare])
    found = DiscoveredAgents({"sloppy": DiscoveredAgent(definition, "acme-agents", "1.0", "acme", "agent")})
    monkeypatch.setattr("runtara_sdk.agents.discover_agents", lambda **_: found, raising=False)
    code, out, _ = run("check", "acme-agents")
    assert code == 1
    assert "sloppy: metadata is json and complete: capability bare needs a description" in out
    assert "sloppy: every capability has an example: bare declares no example" in out
    checks = json.loads(run("check", "acme-agents", "--json")[1])["agents"][0]["checks"]
    (told,) = [check["problems"] for check in checks if check["name"] == "every capability has an example"]
    assert told == ["bare declares no example: @capability(examples=[...])"]
