"""The result of a validation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtara_compiler.language.codes import Severity
from runtara_compiler.language.diagnostics import Diagnostic, ScenarioError

MAXIMUM_DIAGNOSTICS = 200


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """Everything found, errors apart from warnings, at most `MAXIMUM_DIAGNOSTICS` of each; warnings never block."""

    errors: tuple[Diagnostic, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> ValidationReport:
        """Sort findings into errors and warnings; equal ones are kept once.

        Once there are too many errors no more findings are asked for, so that hostile documents stay cheap.
        """
        errors: dict[Diagnostic, None] = {}
        warnings: dict[Diagnostic, None] = {}
        for item in diagnostics:
            (errors if item.severity is Severity.ERROR else warnings).setdefault(item)
            if len(errors) == MAXIMUM_DIAGNOSTICS:
                break
        return cls(tuple(errors), tuple(warnings)[:MAXIMUM_DIAGNOSTICS])

    @property
    def valid(self) -> bool:
        """Whether the scenario may be compiled."""
        return not self.errors

    def raise_for_errors(self, origin: str) -> None:
        """Raise `ScenarioError` with all errors, if there are any."""
        if self.errors:
            raise ScenarioError(origin, self.errors)

    def to_json(self) -> dict[str, object]:
        """`{valid, errors: [{code, title, severity, message, stepId?, path?}], warnings: […]}`."""
        return {
            "valid": self.valid,
            "errors": [item.to_json() for item in self.errors],
            "warnings": [item.to_json() for item in self.warnings],
        }
