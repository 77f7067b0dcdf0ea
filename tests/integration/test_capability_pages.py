"""What the pages of capabilities show is so: each step of a page is run, and gives what the page shows."""

from __future__ import annotations

import json

import pytest
from capability_pages import FOLDER
from runtara_sdk.agents import DiscoveredAgents, discover_agents
from worked_examples import WorkedStep, run_steps

from tests.capability_page import ShownExample, shown_examples

WITH_A_SERVER = {"http", "sftp"}
"""Agents whose pages are run against a real server, in `http_agent` and `sftp_agent`."""

SPREADSHEET = {
    "stepType": "Agent",
    "agentId": "xlsx",
    "capabilityId": "to-xlsx",
    "inputMapping": {
        "value": {"valueType": "immediate", "value": [{"sku": "A1", "qty": 2}]},
        "output": {"valueType": "immediate", "value": "file"},
        "path": {"valueType": "immediate", "value": "in/orders.xlsx"},
    },
}
"""The step that makes what an example of `from-xlsx` reads, since a page can show files of text only."""


@pytest.fixture(scope="module")
def installed() -> DiscoveredAgents:
    return discover_agents(variables={})


def with_its_spreadsheet(worked: WorkedStep) -> WorkedStep:
    reads = worked.step["capabilityId"] == "from-xlsx" and "in/orders.xlsx" in json.dumps(worked.step)
    return WorkedStep(worked.step, worked.files, [SPREADSHEET] if reads else [])


async def test_the_step_of_every_page_gives_what_the_page_shows(capability_pages: dict[str, str]) -> None:
    examples: list[ShownExample] = []
    for path, page in capability_pages.items():
        if path.split("/")[1] not in WITH_A_SERVER:
            examples += shown_examples(page)
    assert len(examples) > 120
    outputs = await run_steps([with_its_spreadsheet(example.worked) for example in examples])
    wrong = [
        f"{example.worked.step['capabilityId']}: shown is {example.output!r}, given {output!r}"
        for example, output in zip(examples, outputs, strict=True)
        if not example.agrees(output)
    ]
    assert not wrong, "\n".join(wrong)


def test_every_capability_has_a_page_with_an_example(
    capability_pages: dict[str, str], installed: DiscoveredAgents
) -> None:
    expected = {f"{FOLDER}/index.md"}
    for agent_id, agent in installed.agents.items():
        expected.add(f"{FOLDER}/{agent_id}/index.md")
        for capability in agent.definition.capabilities:
            path = f"{FOLDER}/{agent_id}/{capability.id}.md"
            expected.add(path)
            shown = list(shown_examples(capability_pages[path]))
            assert len(shown) == len(capability.examples) > 0, path
            for example in shown:
                assert (example.worked.step["agentId"], example.worked.step["capabilityId"]) == (
                    agent_id,
                    capability.id,
                )
            for declared in capability.examples:
                assert not declared.connection or declared.connection in agent.definition.integration_ids
    assert set(capability_pages) == expected


def test_a_page_tells_all_that_is_declared(capability_pages: dict[str, str], installed: DiscoveredAgents) -> None:
    for agent_id, agent in installed.agents.items():
        index = capability_pages[f"{FOLDER}/{agent_id}/index.md"]
        for kind in agent.definition.connection_types:
            assert f"### {kind.integration_id}\n" in index
            assert all(f"| `{field.name}` |" in index for field in kind.fields)
        for capability in agent.definition.capabilities:
            page = capability_pages[f"{FOLDER}/{agent_id}/{capability.id}.md"]
            assert page.startswith(f"# {capability.id}\n\n{capability.description}\n")
            assert f"`{capability.effect.value}`" in page
            inputs = page.partition("## Inputs\n")[2].partition("## Result\n")[0]
            errors = page.partition("## Errors\n")[2]
            for field in capability.fields:
                assert (f"| `{field.name}` |" in inputs) != field.hidden, f"{capability.id} {field.name}"
                assert all(f"`{json.dumps(value)}`" in inputs for value in field.enum), f"{capability.id} {field.name}"
            for error in capability.known_errors:
                assert f"| `{error.code}` | {error.kind.value} | {error.description}" in errors.replace("\\|", "|")
