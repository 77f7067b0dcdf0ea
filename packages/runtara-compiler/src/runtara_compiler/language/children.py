"""The scenarios that a scenario embeds: given by the caller, found for each step, over the whole closure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from runtara_compiler.language.graph import ExecutionGraph
from runtara_compiler.language.steps import StartScenarioStep

ChildKey: TypeAlias = tuple[str, int]
"""Scenario id and version."""


@dataclass(frozen=True, slots=True)
class ResolvedChild:
    """One version of an embedded scenario."""

    id: str
    version: int
    graph: ExecutionGraph

    @property
    def key(self) -> ChildKey:
        """What tells it from others."""
        return self.id, self.version


@dataclass(frozen=True, slots=True)
class ResolvedChildren:
    """Which child each step starts.

    Attributes:
        scenarios: the embedded scenarios.
        requested: scenario id and version as a step writes it, to the version that stands for it.
    """

    scenarios: Mapping[ChildKey, ResolvedChild] = field(default_factory=dict)
    requested: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def find(self, step: StartScenarioStep) -> ResolvedChild | None:
        """The child that a step starts, or None when nobody gave it."""
        version = self.requested.get((step.child_scenario_id, str(step.child_version)))
        return None if version is None else self.scenarios.get((step.child_scenario_id, version))

    def required(self, step: StartScenarioStep) -> ResolvedChild:
        """The child of a step of a validated scenario."""
        child = self.find(step)
        if child is None:
            raise LookupError(f"step {step.id!r}: the child {step.child_scenario_id!r} was not given")
        return child
