"""Filter: some elements of an array."""

from __future__ import annotations

from typing import ClassVar, Literal

from runtara_compiler.language.base import LanguageModel
from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.shapes import LEAF, UNKNOWN, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class FilterConfig(LanguageModel):
    """The array, and the condition that sees each element as the root `item`."""

    value: MappingValue
    condition: Condition


class FilterStep(BaseStep):
    """Keeps the elements for which the condition holds."""

    output_shape: ClassVar[Shape] = record(items=UNKNOWN, count=LEAF)

    step_type: Literal["Filter"] = "Filter"
    config: FilterConfig
