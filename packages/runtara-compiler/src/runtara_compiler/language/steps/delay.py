"""Delay: a durable sleep."""

from __future__ import annotations

from typing import Literal

from runtara_compiler.language.mapping import MappingValue
from runtara_compiler.language.steps.base import BaseStep


class DelayStep(BaseStep):
    """Sleeps durably for `duration_ms` milliseconds."""

    step_type: Literal["Delay"] = "Delay"
    duration_ms: MappingValue
