"""The failure of a step: a JSON error object that keeps its structure from the agent to the end of the run."""

from __future__ import annotations

import json
from typing import Any

from runtara_sdk.errors import RuntaraError

TRANSIENT = "transient"
PERMANENT = "permanent"


class StepFailedError(RuntaraError):
    """A step could not do its work.

    Attributes:
        details: JSON object with `code`, `message`, `category`, `severity` and, where they apply, `stepId`,
            `stepName`, `agentId`, `capabilityId`, `attempts`, `retryAfterMs`, `attributes`.
    """

    code = "STEP_FAILED"

    def __init__(self, code: str, message: str, *, category: str = PERMANENT, **details: Any) -> None:
        super().__init__(message, code=code, retryable=category == TRANSIENT)
        severity = "warning" if category == TRANSIENT else "error"
        self.details: dict[str, Any] = {
            "code": code,
            "message": message,
            "category": category,
            "severity": severity,
            **details,
        }

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
        text = json.dumps(self.details, ensure_ascii=False, default=str)
        try:
            text.encode()
        except UnicodeEncodeError:  # half a surrogate pair: only its escape can be written
            return json.dumps(self.details, default=str)
        return text

    def __str__(self) -> str:
        step = self.details.get("stepId")
        place = f"step {step!r}: " if step is not None else ""
        return f"{place}{self.message} [{self.code}]"
