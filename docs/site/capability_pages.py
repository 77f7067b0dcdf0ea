"""The pages of capabilities, made of what their agents declare."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from markdown_table import code, sentences, table
from runtara_sdk.agents import (
    Capability,
    ConnectionType,
    DiscoveredAgent,
    EffectClass,
    Example,
    LargeResults,
    discover_agents,
)
from worked_examples import WorkedStep, run_steps, worked_step

FOLDER = "agents"
_WIDEST_LINE = 100
_DEEPEST_FIELDS = 3

_EFFECTS = {
    EffectClass.PURE: "It touches nothing outside of the workflow, so a repetition does no harm.",
    EffectClass.IDEMPOTENT: "Done twice is the same as done once.",
    EffectClass.KEYED: "The other side recognises a repetition by the idempotency key of the step.",
    EffectClass.AT_MOST_ONCE: "A call whose outcome is not known is not made again: the step fails with "
    "`OUTCOME_UNKNOWN`.",
}

_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "at least {} characters long",
    "maxLength": "at most {} characters long",
    "minItems": "at least {} items long",
    "maxItems": "at most {} items long",
}


def capability_pages() -> dict[str, str]:
    """The Markdown pages of all installed agents, by their path below the root of the site's sources."""
    found = discover_agents(variables={})
    if found.broken:
        raise RuntimeError(f"the agent {found.broken[0].name} cannot be used: {found.broken[0].reason}")
    agents = dict(sorted(found.agents.items()))
    outputs = _outputs_of_runs(agents.values())
    pages = {f"{FOLDER}/index.md": _overview(agents)}
    for agent_id, agent in agents.items():
        pages[f"{FOLDER}/{agent_id}/index.md"] = "\n".join(_agent_page(agent_id, agent)) + "\n"
        for capability in agent.definition.capabilities:
            page = _capability_page(agent, capability, outputs)
            pages[f"{FOLDER}/{agent_id}/{capability.id}.md"] = "\n".join(page) + "\n"
    return pages


def _outputs_of_runs(agents: Iterable[DiscoveredAgent]) -> dict[int, Any]:
    """What examples give that tell no output, since it is another one each time; by identity of the example."""
    silent = [
        (example, worked_step(agent.definition.id, capability, example))
        for agent in agents
        for capability in agent.definition.capabilities
        for example in capability.examples
        if example.output is ... and not example.needs
    ]
    outputs = asyncio.run(run_steps([step for _, step in silent]))
    return {id(example): output for (example, _), output in zip(silent, outputs, strict=True)}


def _overview(agents: Mapping[str, DiscoveredAgent]) -> str:
    lines = [
        "# Agents",
        "",
        "A scenario calls capabilities of agents in its [Agent steps](../scenario-language.md#agent). The page of a",
        "capability tells what it takes, gives and raises, and shows a step that calls it with what that step gives.",
        "The pages are made of what the agents declare. `runtara agents show AGENT CAPABILITY` prints the same.",
        "",
        *table(
            ["Agent", "What it is for", "Capabilities", "Distribution"],
            [
                [
                    f"[{agent_id}]({agent_id}/index.md)",
                    agent.definition.description,
                    str(len(agent.definition.capabilities)),
                    _distribution(agent, ".."),
                ]
                for agent_id, agent in agents.items()
            ],
        ),
        "",
        _tree(f"{agent_id}/index" for agent_id in agents),
    ]
    return "\n".join(lines) + "\n"


def _agent_page(agent_id: str, agent: DiscoveredAgent) -> Iterator[str]:
    definition = agent.definition
    yield f"# {agent_id}"
    yield ""
    yield f"{definition.description} The agent belongs to {_distribution(agent, '../..')}."
    yield ""
    rows = [[f"[{each.id}]({each.id}.md)", each.description] for each in definition.capabilities]
    yield from table(["Capability", "What it does"], rows)
    if definition.connection_types:
        yield ""
        yield "## Connections"
        yield ""
        yield (
            "A connection keeps credentials out of scenarios. A step names it with `connectionId`. It is fetched from "
            "the connection service of the product when the step runs."
        )
        for kind in definition.connection_types:
            yield ""
            yield from _connection_section(kind)
    yield ""
    yield _tree(each.id for each in definition.capabilities)


def _connection_section(kind: ConnectionType) -> Iterator[str]:
    yield f"### {kind.integration_id}"
    yield ""
    yield kind.description
    yield ""
    yield from table(
        ["Parameter", "Type", "Default", "Description"],
        [
            [
                f"`{field.name}`",
                field.type,
                "**required**" if field.required else "" if field.default is None else code(field.default),
                sentences(field.description, "Secret." if field.secret else None),
            ]
            for field in kind.fields
        ],
    )


def _capability_page(agent: DiscoveredAgent, capability: Capability, outputs: Mapping[int, Any]) -> Iterator[str]:
    document = capability.metadata()
    yield f"# {capability.id}"
    yield ""
    yield capability.description
    yield ""
    yield from (f"* **{name}**: {fact}" for name, fact in _facts(agent, capability))
    yield ""
    yield "## Examples" if len(capability.examples) > 1 else "## Example"
    for number, example in enumerate(capability.examples):
        yield ""
        if number:
            yield "---"
            yield ""
        yield from _example(worked_step(agent.definition.id, capability, example), example, outputs)
    yield ""
    yield "## Inputs"
    yield ""
    if document["inputs"]:
        yield from table(["Input", "Type", "Default", "Description"], list(_input_rows(document["inputs"])))
    else:
        yield "It takes none."
    yield ""
    yield "## Result"
    yield ""
    if document["output"].get("fields"):
        yield from table(["Field", "Type", "Description"], list(_result_rows(document["output"])))
    else:
        kind = _type(document["output"])
        yield "A JSON value." if kind == "any" else f"Its type is {kind}."
    yield ""
    yield "## Errors"
    yield ""
    if capability.known_errors:
        yield from table(
            ["Code", "Kind", "When"],
            [[f"`{each.code}`", each.kind.value, each.description] for each in capability.known_errors],
        )
    else:
        yield "It raises no errors of its own."


def _facts(agent: DiscoveredAgent, capability: Capability) -> Iterator[list[str]]:
    definition = agent.definition
    yield ["In a step", f"`agentId` `{definition.id}`, `capabilityId` `{capability.id}`"]
    if capability.aliases:
        yield ["Other names", ", ".join(f"`{alias}`" for alias in capability.aliases)]
    yield ["Effect", f"`{capability.effect.value}`: {_EFFECTS[capability.effect]}"]
    if not capability.deterministic:
        yield ["Result", "The same inputs may give another result the next time."]
    if capability.rate_limited:
        yield ["Rate limit", "Steps wait for the rate limit of the connection."]
    if capability.compensates_with:
        undo = f"[{capability.compensates_with}]({capability.compensates_with}.md)"
        yield ["Undone by", sentences(undo + ".", capability.compensates_description)]
    if capability.large_results is LargeResults.SPILL:
        yield ["Large results", "They go to a file of the workspace, and a reference to it takes their place."]
    if definition.connection_types:
        kinds = [f"[{kind.integration_id}](index.md#{kind.integration_id})" for kind in definition.connection_types]
        yield ["Connections", ", ".join(kinds)]


def _input_rows(fields: Sequence[Mapping[str, Any]], prefix: str = "", depth: int = 1) -> Iterator[list[str]]:
    for field in fields:
        name = f"{prefix}{field['name']}"
        yield [
            f"`{name}`",
            _type(field),
            "**required**" if field.get("required") else code(field["default"]) if "default" in field else "",
            _described(field),
        ]
        if depth < _DEEPEST_FIELDS:
            nested, suffix = _nested(field)
            yield from _input_rows(nested, f"{name}{suffix}.", depth + 1)


def _result_rows(info: Mapping[str, Any], prefix: str = "", depth: int = 1) -> Iterator[list[str]]:
    for field in info.get("fields", ()):
        name = f"{prefix}{field['name']}"
        yield [f"`{name}`", _type(field), _described(field)]
        if depth < _DEEPEST_FIELDS:
            nested, suffix = _nested(field)
            yield from _result_rows({"fields": nested}, f"{name}{suffix}.", depth + 1)


def _nested(field: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], str]:
    if field.get("fields"):
        return field["fields"], ""
    items = field.get("items")
    return (items["fields"], "[]") if isinstance(items, Mapping) and items.get("fields") else ((), "")


def _type(info: Mapping[str, Any]) -> str:
    name = str(info["type"])
    if info.get("format") == "file":
        name = "file"
    elif name == "array":
        items = info.get("items") or {"type": "any"}
        name = "array" if items["type"] == "any" else f"array of {_type(items)}"
    return f"{name} or null" if info.get("nullable") and name != "any" else name


def _described(field: Mapping[str, Any]) -> str:
    values = ", ".join(code(value) for value in field.get("enum", ()))
    bounds = ", ".join(_bound(name, value) for name, value in field.get("constraints", {}).items())
    aliases = ", ".join(f"`{alias}`" for alias in field.get("aliases", ()))
    return sentences(
        field.get("description"),
        f"One of {values}." if values else None,
        f"It is {bounds}." if bounds else None,
        f"Also called {aliases}." if aliases else None,
    )


def _bound(name: str, value: Any) -> str:
    if name == "pattern":
        return f"a text of the form `{value}`"
    return _BOUNDS[name].format(value)


def _example(worked: WorkedStep, example: Example, outputs: Mapping[int, Any]) -> Iterator[str]:
    for path, text in worked.files.items():
        yield f"The file `{path}` of the workspace holds:"
        yield ""
        yield from _block(f"text file={path}", text)
        yield ""
    yield _introduced(worked, example)
    yield ""
    yield from _block("json step", step_text(worked.step))
    yield ""
    varies = example.output is ...
    yield "gives something else each time, such as" if varies else "gives"
    yield ""
    if varies and id(example) not in outputs:
        step = worked.step
        raise RuntimeError(f"{step['agentId']} {step['capabilityId']}: an example that needs a server tells no output")
    output = outputs[id(example)] if varies else json.loads(json.dumps(example.output))
    yield from _block("json varying" if varies else "json result", _json_text(output))


def _introduced(worked: WorkedStep, example: Example) -> str:
    parts = [example.needs] if example.needs else []
    if example.connection:
        name = worked.step["connectionId"]
        parts.append(f"the connection `{name}` of the type [{example.connection}](index.md#{example.connection})")
    return f"With {' and '.join(parts)}, the step" if parts else "The step"


def step_text(step: Mapping[str, Any]) -> str:
    """A step as JSON, with an input on a line."""
    plain = {name: value for name, value in step.items() if name != "inputMapping"}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in plain.items()]
    inputs = [f"    {json.dumps(name)}: {_mapped(value)}" for name, value in step["inputMapping"].items()]
    mapping = '  "inputMapping": {\n' + ",\n".join(inputs) + "\n  }" if inputs else '  "inputMapping": {}'
    return "\n".join(["{", *lines, mapping, "}"])


def _mapped(value: Mapping[str, Any]) -> str:
    short = json.dumps(value, ensure_ascii=False)
    if len(short) <= _WIDEST_LINE:
        return short
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n    ")


def _json_text(value: Any) -> str:
    short = json.dumps(value, ensure_ascii=False)
    return short if len(short) <= _WIDEST_LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _block(information: str, text: str) -> Iterator[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    yield f"{fence}{information}"
    yield text.removesuffix("\n")
    yield fence


def _distribution(agent: DiscoveredAgent, root: str) -> str:
    return f"[{agent.distribution}]({root}/packages/{agent.distribution}/README.md)"


def _tree(pages: Iterable[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```"])
