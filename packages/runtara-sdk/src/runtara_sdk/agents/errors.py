"""The structured error of an agent, kept whole from the capability to the workflow's error edge."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from runtara_sdk.errors import ConfigurationError, InvalidInputError, RuntaraError
from runtara_sdk.written_decimal import dump_json

INPUT_DESERIALIZATION_ERROR = "INPUT_DESERIALIZATION_ERROR"
CAPABILITY_ERROR = "CAPABILITY_ERROR"
OUTPUT_SERIALIZATION_ERROR = "OUTPUT_SERIALIZATION_ERROR"
UNKNOWN_CAPABILITY = "UNKNOWN_CAPABILITY"
TIMEOUT = "TIMEOUT"


class ErrorCategory(StrEnum):
    """Whether the same call may succeed later."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"


class ErrorSeverity(StrEnum):
    """How loud an error is; expected business refusals are permanent warnings."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class AgentDefinitionError(ConfigurationError):
    """An agent or capability is declared wrongly; raised when its module is imported."""

    code = "AGENT_DEFINITION_ERROR"


class AgentError(RuntaraError):
    """What a capability raises when it fails.

    Attributes:
        code: stable, upper snake case.
        message: one line for people, without secrets.
        category: transient errors are `retryable`.
        severity: `warning` for transient and `error` for permanent errors unless given.
        retry_after_ms: the shortest wait, in milliseconds, that the other side asked for.
        attributes: details by name; every value is text (numbers and booleans become their JSON text).
    """

    code = CAPABILITY_ERROR

    def __init__(
        self,
        code: str,
        message: str,
        *,
        category: ErrorCategory | str = ErrorCategory.PERMANENT,
        severity: ErrorSeverity | str | None = None,
        retry_after_ms: int | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.category = ErrorCategory(category)
        transient = self.category is ErrorCategory.TRANSIENT
        super().__init__(message, code=code, retryable=transient)
        default_severity = ErrorSeverity.WARNING if transient else ErrorSeverity.ERROR
        self.severity = default_severity if severity is None else ErrorSeverity(severity)
        self.retry_after_ms = retry_after_ms
        self.attributes = {name: _text(value) for name, value in (attributes or {}).items() if value is not None}

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (AgentError.from_json, (self.to_json(),))

    @classmethod
    def transient(cls, code: str, message: str, **details: Any) -> AgentError:
        """An error that may go away by itself; `details` are the other arguments of the constructor."""
        return cls(code, message, category=ErrorCategory.TRANSIENT, **details)

    @classmethod
    def permanent(cls, code: str, message: str, **details: Any) -> AgentError:
        """An error that the same call will meet again; `details` are the other arguments of the constructor."""
        return cls(code, message, category=ErrorCategory.PERMANENT, **details)

    def to_json(self) -> dict[str, Any]:
        """The wire form: code, message, category, severity and, when present, retryAfterMs and attributes."""
        document: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "category": self.category.value,
            "severity": self.severity.value,
        }
        if self.retry_after_ms is not None:
            document["retryAfterMs"] = self.retry_after_ms
        if self.attributes:
            document["attributes"] = dict(self.attributes)
        return document

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> AgentError:
        """Rebuild an error from its wire form; the old category `business` is read as permanent.

        Raises:
            InvalidInputError: the document is not a structured error.
        """
        try:
            category = "permanent" if document["category"] == "business" else document["category"]
            return AgentError(
                str(document["code"]),
                str(document["message"]),
                category=category,
                severity=document.get("severity"),
                retry_after_ms=document.get("retryAfterMs"),
                attributes=document.get("attributes"),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInputError(f"not a structured agent error: {error!r}") from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dump_json(value, ensure_ascii=False, default=str)
