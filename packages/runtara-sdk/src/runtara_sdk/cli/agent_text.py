"""Agents and their capabilities as text for people, made of the agent metadata: installed ones and an environment's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runtara_sdk.cli.text import fields, json_text, one_line, table

_LONGEST_DESCRIPTION = 1_000


def agent_lines(agent: Mapping[str, Any]) -> Iterator[str]:
    """An agent with its capabilities; `agent` is an AgentInfo."""
    yield f"{agent['id']}: {_description(agent)}"
    rows = [(each["id"], _description(each), ", ".join(each.get("aliases", ()))) for each in agent["capabilities"]]
    yield from table(("CAPABILITY", "DESCRIPTION", "ALIASES"), rows)


def capability_lines(agent_id: str, capability: Mapping[str, Any]) -> Iterator[str]:
    """A capability with inputs, result, errors and examples; `capability` is a CapabilityInfo."""
    yield f"{agent_id} {capability['id']}: {_description(capability)}"
    yield ""
    yield from fields(
        (
            ("effect", capability.get("effect")),
            ("deterministic", "no" if capability.get("isDeterministic") is False else None),
            ("rate limited", "yes" if capability.get("rateLimited") else None),
            ("aliases", ", ".join(capability.get("aliases", ())) or None),
            ("undone by", capability.get("compensationHint", {}).get("capabilityId")),
        )
    )
    if capability.get("inputs"):
        yield ""
        yield from table(("INPUT", "TYPE", "", "DESCRIPTION"), map(_input_row, capability["inputs"]))
    output = capability.get("output", {})
    yield ""
    if output.get("fields"):
        rows = [(each["name"], each["type"], _description(each)) for each in output["fields"]]
        yield from table(("RESULT", "TYPE", "DESCRIPTION"), rows)
    else:
        yield f"result: {output.get('type', 'any')}"
    if capability.get("knownErrors"):
        yield ""
        rows = [(each["code"], each.get("kind", ""), _description(each)) for each in capability["knownErrors"]]
        yield from table(("ERROR", "KIND", "DESCRIPTION"), rows)
    for example in capability.get("examples", ()):
        yield ""
        yield from _example_lines(example)


def _description(document: Mapping[str, Any]) -> str:
    return one_line(document.get("description") or "", longest=_LONGEST_DESCRIPTION)


def _input_row(field: Mapping[str, Any]) -> tuple[str, str, str, str]:
    default = field.get("default")
    presence = "required" if field.get("required") else "" if default is None else f"default {one_line(default)}"
    values = ", ".join(map(str, field.get("enum") or ()))
    description = one_line(field.get("description") or "") + (f" One of {one_line(values)}." if values else "")
    kind = "file" if field.get("format") == "file" else field["type"]
    return field["name"], kind, presence, description


def _example_lines(example: Mapping[str, Any]) -> Iterator[str]:
    needs = [f"needs {example['needs']}"] if example.get("needs") else []
    if example.get("connection"):
        needs.append(f"with a connection of the type {example['connection']}")
    remark = f" ({one_line(', '.join(needs))})" if needs else ""
    yield f"example{remark}: {json_text(example.get('inputs', {}), indent=None)}"
    if "output" in example:
        yield f"  gives {json_text(example['output'], indent=None)}"
