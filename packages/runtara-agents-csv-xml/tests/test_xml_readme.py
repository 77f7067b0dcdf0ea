"""What the README says of XML and archives is so: its calls, its inputs, its limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import runtara_agents_csv_xml
from runtara_agents_csv_xml import compression_agent, xml_agent
from runtara_sdk.agents import AgentDefinition, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

TEXT = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SPANS = frozenset(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)))
CALLS = [json.loads(block) for block in re.findall(r"^```json calls\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)]


def shown(result: Any, told: Any) -> Any:
    """Of a result those keys that the README tells."""
    return {key: result[key] for key in told} if isinstance(told, dict) else result


@pytest.mark.parametrize("calls", CALLS)
async def test_the_calls_give_what_they_say(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    context = CapabilityContext(workspace=Workspace(tmp_path))
    for call in calls:
        for path, content in call.get("files", {}).items():
            with context.require_workspace().create(path) as file:
                file.write(content.encode())
                file.commit()
        agent: AgentDefinition = getattr(runtara_agents_csv_xml, f"{call['agent']}_agent")
        result = await agent.invoke(call["capability"], call["inputs"], context)
        assert shown(result, call["result"]) == call["result"]


def test_there_are_calls() -> None:
    assert {call["capability"] for calls in CALLS for call in calls} >= {"from-xml", "to-xml", "xml-extract"}


@pytest.mark.parametrize("agent", [xml_agent, compression_agent], ids=lambda agent: agent.id)
def test_every_input_is_told(agent: AgentDefinition) -> None:
    for capability in agent.capabilities:
        missing = {field.name for field in capability.fields} - SPANS
        assert not missing, f"{capability.id}: {missing}"


def test_limits_are_as_they_are_told() -> None:
    defaults = {
        field.name: field.default
        for agent in (compression_agent, xml_agent)
        for capability in agent.capabilities
        if capability.id != "decompress"
        for field in capability.fields
    }
    assert defaults["max_bytes"] == 50 * 2**20
    assert (defaults["max_depth"], defaults["max_elements"]) == (200, 1_000_000)
    assert (defaults["max_entries"], defaults["max_entry_bytes"]) == (10_000, 2**30)
    assert (defaults["max_total_bytes"], defaults["max_ratio"]) == (4 * 2**30, 200)
