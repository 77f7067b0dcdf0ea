"""What the README says is so: its examples, its inputs, its errors."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest
import runtara_agents_csv_xml
from runtara_agents_csv_xml import csv_agent, xlsx_agent
from runtara_sdk.agents import AgentDefinition

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
SPANS = frozenset(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_the_example_prints_what_it_says() -> None:
    [program], [printed] = blocks("python"), blocks("text")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(program, str(README), "exec"), {})
    assert output.getvalue() == printed


@pytest.mark.parametrize("name", ["csv_agent", "xlsx_agent", "xml_agent", "compression_agent"])
def test_every_capability_and_error_is_told(name: str) -> None:
    agent: AgentDefinition = getattr(runtara_agents_csv_xml, name)
    for capability in agent.capabilities:
        assert {capability.id, *capability.aliases} <= SPANS
        own = {error.code for error in capability.known_errors if not error.code.startswith(("FILE_", "WORKSPACE_"))}
        assert own <= SPANS, f"{capability.id}: {own - SPANS}"


@pytest.mark.parametrize("agent", [csv_agent, xlsx_agent], ids=lambda agent: agent.id)
def test_every_input_is_told(agent: AgentDefinition) -> None:
    for capability in agent.capabilities:
        missing = {field.name for field in capability.fields} - SPANS
        assert not missing, f"{capability.id}: {missing}"
