"""A scenario that is embedded in another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtara_sdk.workflow.value_schema import Schema

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import GraphFunction


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildScenario:
    """One version of a child; all steps that start it share it.

    Attributes:
        id: scenario id.
        version: the version that was embedded.
        graph: runs its steps in order.
        variables: defaults of its variables.
        input_schema: what its input must fit.
    """

    id: str
    version: int
    graph: GraphFunction
    variables: Mapping[str, Any] = field(default_factory=dict)
    input_schema: Schema = field(default_factory=Schema)
