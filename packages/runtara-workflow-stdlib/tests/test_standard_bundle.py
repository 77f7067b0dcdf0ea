"""The standard bundle holds what is installed, and serves as the start of another."""

from __future__ import annotations

import pytest
from runtara_sdk.agents import discover_agents
from runtara_workflow_stdlib import runtara_agents


def test_it_holds_every_installed_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTARA_STDLIB_NAME", raising=False)
    installed = discover_agents()
    assert [agent.id for agent in runtara_agents()] == sorted(installed.agents)
    assert {"http", "transform"} <= set(installed.agents)
    monkeypatch.setenv("RUNTARA_STDLIB_NAME", "runtara_workflow_stdlib")
    named = discover_agents()
    assert {name: agent.module for name, agent in named.agents.items()} == {
        name: agent.module for name, agent in installed.agents.items()
    }


def test_switched_off_plugins_are_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTARA_DISABLE_PLUGINS", "http")
    assert "http" not in [agent.id for agent in runtara_agents()]
