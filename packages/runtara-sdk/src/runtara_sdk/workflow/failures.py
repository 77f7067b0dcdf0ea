"""The failure of a step: a JSON error object that keeps its structure from the agent to the end of the run."""

from __future__ import annotations

from typing import Any

from runtara_sdk.errors import RuntaraError
from runtara_sdk.written_decimal import dump_json

TRANSIENT = "transient"
PERMANENT = "permanent"
TIMEOUT = "timeout"


class StepFailedError(RuntaraError):
    """A step could not do its work.

    It may be tried again unless its category is permanent.

    Attributes:
        details: JSON object with `code`, `message`, `category`, `severity` and, where they apply, `stepId`,
            `stepName`, `agentId`, `capabilityId`, `attempts`, `retryAfterMs`, `attributes`, `index`, `cause`.
        replaces_others: whether the scenario raises it on purpose: then it takes the place of an error being handled.
    """

    code = "STEP_FAILED"

    def __init__(
        self, code: str, message: str, *, category: str = PERMANENT, severity: str | None = None, **details: Any
    ) -> None:
        super().__init__(message, code=code, retryable=category != PERMANENT)
        self.replaces_others = False
        if severity is None:
            severity = "warning" if category == TRANSIENT else "error"
        self.details: dict[str, Any] = {
            "code": code,
            "message": message,
            "category": category,
            "severity": severity,
            **details,
        }

    @classmethod
    def from_details(cls, details: dict[str, Any]) -> StepFailedError:
        """The failure that an error object describes."""
        known = ("code", "message", "category", "severity")
        rest = {name: value for name, value in details.items() if name not in known}
        code, message, category, severity = (details[name] for name in known)
        return cls(code, message, category=category, severity=severity, **rest)

    @property
    def retry_after_ms(self) -> int | None:
        """The shortest wait before another attempt that the other side asked for, milliseconds."""
        asked = self.details.get("retryAfterMs")
        return asked if type(asked) is int else None

    def located(self, **place: Any) -> StepFailedError:
        """Add where it happened (`stepId=...`); what is already known stays. Returns the error itself."""
        for key, value in place.items():
            if value is not None:
                self.details.setdefault(key, value)
        return self

    def as_text(self) -> str:
        """The error object as JSON text that UTF-8 can write."""
        text = dump_json(self.details, ensure_ascii=False, default=str)
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair: only its escape can be written
            return dump_json(self.details, default=str)
        return text

    def __str__(self) -> str:
        step = self.details.get("stepId")
        place = f"step {step!r}: " if step is not None else ""
        return f"{place}{self.message} [{self.code}]"


def wrapped(
    failure: StepFailedError, message: str, *, code: str | None = None, category: str | None = None, **details: Any
) -> StepFailedError:
    """A failure of an enclosing step: code, category and severity of `failure`, which becomes its `cause`.

    `code` and `category` replace those of `failure` where they are given.
    What the other side asked for (`retryAfterMs`) is kept, so that a retry of the enclosing step heeds it.
    """
    inner = failure.details
    if failure.retry_after_ms is not None:
        details.setdefault("retryAfterMs", failure.retry_after_ms)
    return StepFailedError(
        code or inner["code"],
        message,
        category=category or inner["category"],
        severity=inner["severity"] if category is None else None,
        **details,
        cause=inner,
    )
