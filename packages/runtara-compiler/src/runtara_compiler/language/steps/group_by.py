"""GroupBy: an array by key."""

from __future__ import annotations

from typing import ClassVar, Literal

from runtara_compiler.language.base import LanguageModel, Sequence
from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.shapes import LEAF, UNKNOWN, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class GroupByConfig(LanguageModel):
    """The array, and how its elements are grouped.

    Attributes:
        key: path in each element; its syntax is that of references.
        expected_keys: groups that are there even when they are empty.
    """

    value: MappingValue
    key: str
    expected_keys: Sequence[str] = ()


class GroupByStep(BaseStep):
    """Groups the elements of an array by what a path in each of them holds."""

    output_shape: ClassVar[Shape] = record(groups=UNKNOWN, counts=UNKNOWN, total_groups=LEAF)

    step_type: Literal["GroupBy"] = "GroupBy"
    config: GroupByConfig
