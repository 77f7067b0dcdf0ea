"""Where the edges of a step lead: to several steps at once, or to the one that a condition chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtara_sdk.workflow.conditions import is_true
from runtara_sdk.workflow.mapping import Roots, Value


@dataclass(frozen=True, slots=True)
class Choice:
    """Edges with conditions: the first that holds is taken, else those without a condition.

    Attributes:
        cases: condition and step id, the highest priority first.
        otherwise: ids of the steps that follow when no condition holds.
    """

    cases: tuple[tuple[Value, str], ...]
    otherwise: tuple[str, ...] = ()


Edges = tuple[str, ...] | Choice
"""Ids of the steps that all follow, or a choice among some."""


def choose(*cases: tuple[Value, str], otherwise: Iterable[str] = ()) -> Choice:
    """Edges with conditions, the highest priority first; `otherwise` follows when none holds."""
    return Choice(cases, tuple(otherwise))


def taken(edges: Edges, roots: Roots) -> tuple[str, ...]:
    """The ids of the steps that follow; raises `StepFailedError` when a condition cannot be evaluated."""
    if not isinstance(edges, Choice):
        return edges
    for condition, step_id in edges.cases:
        if is_true(condition.resolve(roots)):
            return (step_id,)
    return edges.otherwise
