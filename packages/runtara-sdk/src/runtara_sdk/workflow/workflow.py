"""What a generated module defines: one workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtara_sdk.workflow.value_schema import Schema

if TYPE_CHECKING:
    from runtara_sdk.agents import AgentDefinition
    from runtara_sdk.workflow.run_context import GraphFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A compiled scenario.

    Attributes:
        id: scenario id; part of every checkpoint key.
        version: version of the scenario that was compiled.
        graph: runs the steps in order; returns the result of the Finish step that it reached, else None.
        agents: the agents that its steps call, those of bodies and children included.
        name: name of the scenario, if it has one.
        variables: defaults of the variables; the run input overrides them by name.
        input_schema: what the data of a run must fit; its defaults complete the data.
        timeout_ms: bound of the whole run from its first start on, milliseconds; None for no bound.
        rate_limit_budget_ms: how long a run may wait for rate limits in all, milliseconds; None takes the default.
        connection_service_url: where its steps fetch connections, unless CONNECTION_SERVICE_URL says another place.
        durable: whether anything is recorded; without it, every run begins anew.
        debug: emit an event at the start and the end of each step.
        compiler_version: version of the compiler that generated the module.
    """

    id: str
    version: int
    graph: GraphFunction
    agents: tuple[AgentDefinition, ...] = ()
    name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    input_schema: Schema = field(default_factory=Schema)
    timeout_ms: int | None = None
    rate_limit_budget_ms: int | None = None
    connection_service_url: str | None = None
    durable: bool = True
    debug: bool = False
    compiler_version: str = ""
