"""A description of a scenario for people and tools: what it is made of, without compiling it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from runtara_sdk.agents import DiscoveredAgents

from runtara_compiler.language import AgentStep, Scenario, StartScenarioStep
from runtara_compiler.language.step_types import STEP_TYPES
from runtara_compiler.language.walk import all_steps
from runtara_compiler.validation import ValidationReport


def analyze_scenario(scenario: Scenario, report: ValidationReport, installed: DiscoveredAgents) -> dict[str, Any]:
    """A JSON object: name, entry point, steps by type and by agent, side effects, variables, schemas, findings."""
    graph = scenario.execution_graph
    steps = list(all_steps(graph))
    calls = [step for step in steps if isinstance(step, AgentStep)]
    children = {step.child_scenario_id for step in steps if isinstance(step, StartScenarioStep)}
    return {
        "name": graph.name,
        "entryPoint": graph.entry_point,
        "steps": len(steps),
        "stepTypes": dict(sorted(Counter(STEP_TYPES[type(step)] for step in steps).items())),
        "agents": dict(sorted(Counter(f"{step.agent_id}/{step.capability_id}" for step in calls).items())),
        "childScenarios": len(children),
        "hasSideEffects": any(_has_side_effects(step, installed) for step in calls),
        "variables": {name: variable.value for name, variable in graph.variables.items()},
        "inputSchema": {name: field.type for name, field in graph.input_schema.items()},
        "outputSchema": {name: field.type for name, field in graph.output_schema.items()},
        "validation": {"errors": len(report.errors), "warnings": len(report.warnings)},
    }


def describe_analysis(analysis: dict[str, Any]) -> str:
    """The same as text, one fact a line."""
    lines = [
        f"name: {analysis['name'] or '(none)'}",
        f"entry point: {analysis['entryPoint'] or '(none)'}",
        f"steps: {analysis['steps']}",
    ]
    lines += [f"  {step_type}: {count}" for step_type, count in analysis["stepTypes"].items()]
    lines += [f"  calls {capability}: {count}" for capability, count in analysis["agents"].items()]
    lines.append(f"side effects: {'yes' if analysis['hasSideEffects'] else 'no'}")
    for title, key in (("variables", "variables"), ("input", "inputSchema"), ("output", "outputSchema")):
        lines.append(f"{title}: {', '.join(analysis[key]) or '(none)'}")
    findings = analysis["validation"]
    lines.append(f"validation: {findings['errors']} errors, {findings['warnings']} warnings")
    return "\n".join(lines)


def _has_side_effects(step: AgentStep, installed: DiscoveredAgents) -> bool:
    agent = installed.find(step.agent_id)
    found = agent.definition.find_capability(step.capability_id) if agent is not None else None
    return found is not None and found.side_effects
