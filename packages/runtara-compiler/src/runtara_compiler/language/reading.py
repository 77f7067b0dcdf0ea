"""What the reading of a document found, and where it stands meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from runtara_compiler.language.codes import Severity
from runtara_compiler.language.diagnostics import Diagnostic, diagnostic
from runtara_compiler.language.paths import Segment, format_path

MAXIMUM_DIAGNOSTICS = 200

Place: TypeAlias = tuple[Segment, ...]


class TooManyErrors(Exception):  # noqa: N818 - ends the reading, the errors are in the report
    """The document has so many errors that reading on helps nobody."""


class ReadingReport:
    """`errors` and `warnings` hold what was found, places being relative to the graph."""

    def __init__(self) -> None:
        self.errors: list[Diagnostic] = []
        self.warnings: list[Diagnostic] = []
        self._step_id: str | None = None
        self._step_place: Place = ()

    @contextmanager
    def step(self, step_id: str, place: Place) -> Iterator[None]:
        """What is reported in the block concerns a step."""
        outer = self._step_id, self._step_place
        self._step_id, self._step_place = step_id, place
        try:
            yield
        finally:
            self._step_id, self._step_place = outer

    def report(self, code: str, text: str, place: Place) -> None:
        """Note an error or a warning at a place; raises `TooManyErrors` with the last error that is kept."""
        path = format_path(place)
        if self._step_id is None:
            message = f"{path}: {text}" if path else text
        else:
            inner = format_path(place[len(self._step_place) :])
            message = f"step {self._step_id!r}: {inner + ': ' if inner else ''}{text}"
        found = diagnostic(code, message, step_id=self._step_id, path=path or None)
        if found.severity is Severity.ERROR:
            self.errors.append(found)
            if len(self.errors) >= MAXIMUM_DIAGNOSTICS:
                raise TooManyErrors
        elif len(self.warnings) < MAXIMUM_DIAGNOSTICS:
            self.warnings.append(found)
