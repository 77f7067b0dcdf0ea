"""Agents inside a native binary: all of ours, and hostile ones that the check catches. They share one base runtime."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, AgentError, Example, capability, discover_agents
from runtara_sdk.cli.main import runtara
from runtara_sdk.testing.agent_checks.native import native_problems
from runtara_sdk.testing.agents import AgentNativeSuite, ProblemsFoundError

from tests.integration.clean_environment import native_library

BUILD_SECONDS = 2400

pytestmark = [pytest.mark.native, pytest.mark.timeout(BUILD_SECONDS)]


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in native_library().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def suites_of(definitions: Sequence[AgentDefinition]) -> list[AgentNativeSuite]:
    return [type("Suite", (AgentNativeSuite,), {"agent": definition})() for definition in definitions]


def test_all_agents_give_the_same_results(tmp_path: Path) -> None:
    """Those of the SDK itself are checked by the command below."""
    installed = discover_agents(variables={}).agents.values()
    definitions = [found.definition for found in installed if found.distribution != "runtara-sdk"]
    assert {"csv", "http", "sftp", "transform"} <= {definition.id for definition in definitions}
    said: list[str] = []
    problems = native_problems(suites_of(definitions), data_dir=tmp_path, progress=said.append)
    assert problems == {definition.id: () for definition in definitions}
    assert said[-1] == "calling the examples"


class Text(BaseModel):
    text: str


@capability(id="slugify", description="Gives something else.", examples=[Example(inputs={"text": "Ab"})])
def other_than_installed(inputs: Text) -> dict[str, str]:
    return {"slug": inputs.text}


@capability(id="regex-test", description="Works here alone.", examples=[Example(inputs={"text": "a", "pattern": "("})])
def only_in_python(inputs: Text) -> bool:
    return True


@capability(id="hash-text", description="Fails everywhere.", examples=[Example(inputs={"text": "a"})])
def nowhere(inputs: Text) -> bool:
    raise AgentError.permanent("NOWHERE", "no")


def test_differences_are_told() -> None:
    """The binary has the agent `text` as it is installed, which these capabilities are not."""
    (suite,) = suites_of([AgentDefinition(id="text", capabilities=[other_than_installed, only_in_python, nowhere])])
    with pytest.raises(ProblemsFoundError) as caught:
        suite.test_native_build_gives_the_same_results()
    different, failed = caught.value.problems
    assert different.startswith("slugify in a native binary: its example gives ")
    assert different.endswith("but {'slug': 'Ab'} in Python: do not depend on how it is run")
    assert failed.startswith("regex-test in a native binary: its example fails with [")


def test_an_agent_that_cannot_be_built_is_told(tmp_path: Path) -> None:
    (suite,) = suites_of([AgentDefinition(id="absent", capabilities=[only_in_python])])
    (problem,) = native_problems([suite], data_dir=tmp_path)["absent"]
    assert problem.startswith("no native binary can be built with the agent: ")
    assert "[E020]" in problem


def test_the_command_checks_natively() -> None:
    result = CliRunner().invoke(runtara, ["agents", "check", "runtara-sdk", "--native", "--json"])
    assert result.exit_code == 0, result.output
    ((file_agent),) = json.loads(result.stdout)["agents"]
    assert {"name": "native build gives the same results", "passed": True, "problems": []} in file_agent["checks"]
