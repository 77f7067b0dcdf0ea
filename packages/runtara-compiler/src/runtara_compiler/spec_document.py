"""The specification as one JSON document: the language, the installed agents and the diagnostic codes."""

from __future__ import annotations

from typing import Any

from runtara_sdk.agents import DiscoveredAgents

from runtara_compiler.language.codes import CODES
from runtara_compiler.language.json_schema import scenario_schema
from runtara_compiler.language.scenario import LANGUAGE_VERSION

AGENTS_VERSION = "1.0.0"


def spec_document(installed: DiscoveredAgents) -> dict[str, Any]:
    """`{version: {dsl, agents}, dslSchema, agents, connectionTypes, diagnostics}`."""
    definitions = [agent.definition for _, agent in sorted(installed.agents.items())]
    kinds = {kind.integration_id: kind for definition in definitions for kind in definition.connection_types}
    return {
        "version": {"dsl": LANGUAGE_VERSION, "agents": AGENTS_VERSION},
        "dslSchema": scenario_schema(),
        "agents": [definition.metadata() for definition in definitions],
        "connectionTypes": [kinds[name].metadata() for name in sorted(kinds)],
        "diagnostics": [
            {"code": row.code, "severity": row.severity.value, "title": row.title, "explanation": row.explanation}
            for row in CODES.values()
        ],
    }


def codes_page() -> str:
    """The table of diagnostic codes as a page of the documentation."""
    lines = [
        "# Diagnostic codes",
        "",
        "What `runtara compile --validate` reports. Errors (E) stop a compilation, warnings (W) never do.",
        "This page is generated: `uv run scripts/generate-docs`.",
        "",
        "| Code | Title | What it means, and how to mend it |",
        "|---|---|---|",
        *(f"| {row.code} | {row.title} | {row.explanation} |" for row in CODES.values()),
    ]
    return "\n".join(lines) + "\n"
