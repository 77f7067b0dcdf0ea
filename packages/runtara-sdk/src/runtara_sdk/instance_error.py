"""Why an instance failed, for programs and people; the store keeps a text, JSON for compiled scenarios."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtara_sdk.written_decimal import read_decimal

_DEEPEST_CAUSE = 10
_CAUSES = ("cause", "childError")


@dataclass(frozen=True, slots=True)
class InstanceError:
    """The error of an instance.

    Attributes:
        text: as it is stored.
        details: the error object `{code, message, category, severity, stepId, ...}`; None for a plain text.
    """

    text: str
    details: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, text: str) -> InstanceError:
        """Read a stored error; a text that is no JSON object stays a text."""
        try:
            document = json.loads(text, parse_float=read_decimal)
        except (ValueError, RecursionError):
            document = None
        is_error = isinstance(document, dict) and isinstance(document.get("message"), str)
        return cls(text, document if is_error else None)

    @property
    def code(self) -> str | None:
        """Stable name of the kind of failure."""
        return self._detail("code")

    @property
    def message(self) -> str:
        """What happened, for people."""
        return self._detail("message") or self.text

    @property
    def category(self) -> str | None:
        """`permanent`, `transient` or `timeout`: whether another run may fare better."""
        return self._detail("category")

    @property
    def severity(self) -> str | None:
        """`info`, `warning`, `error` or `critical`."""
        return self._detail("severity")

    @property
    def step_id(self) -> str | None:
        """The step of the scenario that failed."""
        return self._detail("stepId")

    def as_json(self) -> Any:
        """The error object, or the text where there is none."""
        return self.text if self.details is None else dict(self.details)

    def lines(self) -> list[str]:
        """One line that says what failed and what may help, and an indented one for each cause behind it."""
        lines = [_line(self.details) if self.details is not None else " ".join(self.text.split())]
        if (remedy := self._remedy()) is not None:
            lines[0] += f"; {remedy}"
        lines += [f"{'  ' * depth}caused by: {_line(cause)}" for depth, cause in enumerate(self._causes(), start=1)]
        return lines

    def _causes(self) -> Iterator[Mapping[str, Any]]:
        details = self.details
        for _ in range(_DEEPEST_CAUSE):
            inner = next((details[name] for name in _CAUSES if name in details), None) if details else None
            if not isinstance(inner, Mapping) or not isinstance(inner.get("message"), str):
                return
            details = inner
            yield inner

    def _remedy(self) -> str | None:
        if self.category in ("transient", "timeout"):
            return "it may pass: start anew"
        if self.code == "INVALID_INPUT":
            return "correct the input and start anew"
        return None

    def _detail(self, name: str) -> str | None:
        value = None if self.details is None else self.details.get(name)
        return value if isinstance(value, str) else None


def _line(details: Mapping[str, Any]) -> str:
    step, attempts = details.get("stepId"), details.get("attempts")
    place = f"step {step!r}: " if step is not None else ""
    tries = f" after {attempts} attempts" if isinstance(attempts, int) and attempts > 1 else ""
    code = f" [{details['code']}]" if details.get("code") else ""
    return place + " ".join(str(details["message"]).split()) + tries + code
