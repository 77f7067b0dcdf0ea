"""Finish: the end of a graph."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.mapping import InputMapping
from runtara_compiler.language.steps.base import BaseStep


class FinishStep(BaseStep):
    """Ends the graph at once; its mapping is the result."""

    unnamed: ClassVar[str] = "Finish"
    is_fallible: ClassVar[bool] = False

    step_type: Literal["Finish"] = "Finish"
    input_mapping: InputMapping = Field(default_factory=dict)
