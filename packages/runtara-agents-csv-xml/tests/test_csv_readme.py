"""What the README says is so: its examples, its inputs, its errors."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import runtara_agents_csv_xml
from runtara_agents_csv_xml import csv_agent, xlsx_agent
from runtara_sdk.agents import AgentDefinition, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

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


async def test_the_scenario_keeps_what_it_says(tmp_path: Path) -> None:
    [scenario] = map(json.loads, blocks("json"))
    workspace = Workspace(tmp_path)
    context = CapabilityContext(workspace=workspace, idempotency_key="step")
    with workspace.create("in/orders.csv") as file:
        file.write(b"sku,qty,note\nA1,2,x\nB2,30,y\n")
        file.commit()
    results: dict[str, Any] = {}

    def value_of(mapped: dict[str, Any]) -> Any:
        if mapped["valueType"] == "immediate":
            return mapped["value"]
        _, step, _, name = mapped["value"].split(".")
        return results[step][name]

    for name in ("keep", "write"):
        step = scenario["steps"][name]
        inputs = {key: value_of(mapped) for key, mapped in step["inputMapping"].items()}
        results[name] = await csv_agent.invoke(step["capabilityId"], inputs, context)
    assert value_of(scenario["steps"]["finish"]["inputMapping"]["rows"]) == 1
    with workspace.open("out/orders.csv") as written:
        assert written.read() == b"sku,qty\nB2,30\n"


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
