"""GroupBy: groups the elements of an array by what a path in each of them holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.grouping import group_items
from runtara_sdk.workflow.mapping import Value
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupByStep(Step):
    """Groups the elements of `value`; what is no array counts as empty.

    Attributes:
        value: the array.
        key: path in each element.
        expected_keys: groups that are there even when they are empty.
    """

    step_type: ClassVar[str] = "GroupBy"

    value: Value
    key: str
    expected_keys: tuple[str, ...] = ()

    def resolve(self, run: RunContext) -> list[Any]:
        found = self.value.resolve(run.roots)
        return found if isinstance(found, list) else []

    async def perform(self, run: RunContext, inputs: list[Any]) -> Outcome:
        groups = group_items(inputs, self.key, self.expected_keys)
        counts = {key: len(items) for key, items in groups.items()}
        return Outcome({"groups": groups, "counts": counts, "total_groups": len(groups)})
