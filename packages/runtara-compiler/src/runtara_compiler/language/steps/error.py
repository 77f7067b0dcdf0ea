"""Error: an end that fails."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from runtara_compiler.language.mapping import InputMapping
from runtara_compiler.language.steps.base import BaseStep


class ErrorCategory(StrEnum):
    """Whether trying again may help."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"


class ErrorSeverity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class ErrorStep(BaseStep):
    """Fails the graph with a code and a message; both are static."""

    is_fallible: ClassVar[bool] = False

    step_type: Literal["Error"] = "Error"
    category: Annotated[ErrorCategory, Field(strict=False)] = ErrorCategory.PERMANENT
    code: str
    message: str
    severity: Annotated[ErrorSeverity, Field(strict=False)] = ErrorSeverity.ERROR
    context: InputMapping = Field(default_factory=dict)
