"""Delay: a durable sleep."""

from __future__ import annotations

from typing import ClassVar, Literal

from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.shapes import LEAF, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class DelayStep(BaseStep):
    """Sleeps durably for `duration_ms` milliseconds."""

    output_shape: ClassVar[Shape] = record(duration_ms=LEAF)
    record_extras: ClassVar[frozenset[str]] = frozenset({"duration_ms"})

    step_type: Literal["Delay"] = "Delay"
    duration_ms: MappingValue
