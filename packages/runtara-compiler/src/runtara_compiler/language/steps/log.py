"""Log: a line for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.mapping import InputMapping
from runtara_compiler.language.shapes import LEAF, Shape, record
from runtara_compiler.language.steps.base import BaseStep


class LogLevel(StrEnum):
    """The level of a Log step."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogStep(BaseStep):
    """Emits a `workflow_log` event; the message is static."""

    output_shape: ClassVar[Shape] = record(level=LEAF, message=LEAF)

    step_type: Literal["Log"] = "Log"
    level: Annotated[LogLevel, Field(strict=False)] = LogLevel.INFO
    message: str
    context: InputMapping = Field(default_factory=dict)
