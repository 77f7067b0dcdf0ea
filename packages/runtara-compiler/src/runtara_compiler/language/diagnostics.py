"""What the loader and the validator report: a code of the table, a message and a place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runtara_sdk.errors import RuntaraError

from runtara_compiler.language.codes import CODES, Severity


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Attributes:
        code: a code of `runtara_compiler.language.codes.CODES`.
        message: one line that names the thing, the place and, where there is one, the remedy.
        step_id: the step concerned, or None for the document or a graph as a whole.
        path: the place in the document, as a path from the graph (or the top), or None.
    """

    code: str
    severity: Severity
    message: str
    step_id: str | None = None
    path: str | None = None

    def to_json(self) -> dict[str, object]:
        """The JSON form; fields without a value are left out."""
        document: dict[str, object] = {
            "code": self.code,
            "title": CODES[self.code].title,
            "severity": self.severity.value,
            "message": self.message,
        }
        if self.step_id is not None:
            document["stepId"] = self.step_id
        if self.path is not None:
            document["path"] = self.path
        return document

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def diagnostic(code: str, message: str, *, step_id: str | None = None, path: str | None = None) -> Diagnostic:
    """A finding whose severity is that of its code."""
    shown = None if path is None else _one_line(path)
    return Diagnostic(code, CODES[code].severity, _one_line(message), step_id, shown)


def _one_line(text: str) -> str:
    """Text from a document, made safe for one line of a terminal or a log."""
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


class ScenarioError(RuntaraError):
    """A scenario cannot be used as it stands; `diagnostics` lists everything found."""

    code = "INVALID_SCENARIO"

    def __init__(self, origin: str, diagnostics: Sequence[Diagnostic]) -> None:
        shown = "; ".join(str(item) for item in diagnostics[:3])
        more = f"; and {len(diagnostics) - 3} more" if len(diagnostics) > 3 else ""
        super().__init__(f"{origin}: {shown}{more}")
        self.origin = origin
        self.diagnostics = tuple(diagnostics)
