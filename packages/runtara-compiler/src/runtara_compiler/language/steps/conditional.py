"""Conditional: one of two branches."""

from __future__ import annotations

from typing import ClassVar, Literal

from runtara_compiler.language.conditions import Condition
from runtara_compiler.language.shapes import LEAF, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class ConditionalStep(BaseStep):
    """Evaluates a condition and follows its `true` or `false` edges."""

    output_shape: ClassVar[Shape] = record(result=LEAF)

    step_type: Literal["Conditional"] = "Conditional"
    condition: Condition

    @property
    def outcomes(self) -> tuple[str, ...]:
        return ("true", "false")
