"""The bundle: what it offers, and that a workflow of it can be compiled and run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from runtara_sdk.agents import discover_agents
from runtara_workflow_stdlib import runtara_agents as standard_agents

from {{ cookiecutter.__module }} import LEFT_OUT

BUNDLE = "{{ cookiecutter.__module }}"
OWN = "{{ cookiecutter.name }}"
SCENARIOS = Path(__file__).parents[1] / "scenarios"


def test_workflows_are_offered_exactly_these_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_STDLIB_NAME", BUNDLE)
    standard = {agent.id for agent in standard_agents()}
    assert standard >= LEFT_OUT, "the bundle leaves out an agent that there is not"
    assert set(discover_agents().agents) == (standard - LEFT_OUT) | {OWN}


def test_a_workflow_uses_the_bundle() -> None:
    runtara = Path(sys.executable).with_name("runtara")
    cases = ("--cases", str(SCENARIOS / "reference.cases.json"))
    tried = subprocess.run(
        [str(runtara), "test", str(SCENARIOS / "reference.json"), *cases],
        env={**os.environ, "RUNTARA_STDLIB_NAME": BUNDLE},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
