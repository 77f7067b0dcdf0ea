"""Rules of connections: their kinds, and that their secrets go to agents only that are made for them.

What a Connection step gives is secret whatever reads it: a reference, a template, a condition of a step or an edge.
"""

from __future__ import annotations

from collections.abc import Iterator

from runtara_compiler.language.diagnostics import Diagnostic
from runtara_compiler.language.graph import ExecutionGraph, Step
from runtara_compiler.language.json_source import quoted
from runtara_compiler.language.steps import AgentStep, ConnectionStep, FinishStep
from runtara_compiler.language.suggestions import did_you_mean, listing
from runtara_compiler.validation.agents import AgentCatalog
from runtara_compiler.validation.findings import step_finding

INPUT = "_connection"
"""The input of a capability that takes what a Connection step gives."""


def check_connections(graph: ExecutionGraph, agents: AgentCatalog) -> Iterator[Diagnostic]:
    """E030: kinds of connections that nobody takes, and agents that take none."""
    for step in graph.steps.values():
        if isinstance(step, ConnectionStep) and step.integration_id not in agents.integrations:
            known = agents.integrations
            suggestion = f"{did_you_mean(step.integration_id, known)} (kinds: {listing(known)})"
            text = f"no installed agent takes connections of the kind {quoted(step.integration_id)}{suggestion}"
            yield step_finding("E030", step.id, text, "integrationId")
        elif isinstance(step, AgentStep) and (step.connection_id is not None or step.connection_ref is not None):
            agent = agents.find(step.agent_id)
            if agent is not None and not agent.integrations:
                text = f"the agent {quoted(agent.id)} takes no connection"
                yield step_finding("E030", step.id, text, "connectionRef" if step.connection_ref else "connectionId")


def leak_of(reader: Step, agents: AgentCatalog, *, on_edge: bool) -> tuple[str, str] | None:
    """Code and text of what is wrong when `reader` reads secrets; None when it may."""
    if isinstance(reader, AgentStep) and not on_edge:
        agent = agents.find(reader.agent_id)
        if agent is None or agent.is_secure:
            return None
        return "E040", f"the agent {quoted(agent.id)} is not made for them"
    if isinstance(reader, FinishStep) and not on_edge:
        return "E041", "they would become outputs"
    where = "the condition of an edge" if on_edge else f"a {reader.step_type} step"
    return "E042", f"{where} is no agent that is made for them"
