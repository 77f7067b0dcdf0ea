"""Error: fails the graph on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from runtara_sdk.workflow.failures import PERMANENT, StepFailedError
from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorStep(Step):
    """Emits `workflow_error` and fails with `error_code`; an error that is being handled is replaced.

    Attributes:
        error_code: code of the error.
        message: text of the error; static.
        category: `permanent` or `transient`.
        severity: `info`, `warning`, `error` or `critical`.
        context: what the error carries as `context`.
    """

    step_type: ClassVar[str] = "Error"

    error_code: str
    message: str
    category: str = PERMANENT
    severity: str = "error"
    context: Mapping[str, Value] = field(default_factory=dict)

    @property
    def input_mapping(self) -> Mapping[str, Value]:
        return self.context

    def resolve(self, run: RunContext) -> dict[str, Any]:
        return resolve_mapping(self.context, run.roots)

    async def perform(self, run: RunContext, inputs: dict[str, Any]) -> NoReturn:
        failure = StepFailedError(
            self.error_code,
            self.message,
            category=self.category,
            severity=self.severity,
            stepId=self.id,
            stepName=self.display_name,
            context=inputs,
        )
        failure.replaces_others = True
        await run.events.error(self.id, self.display_name, failure)
        raise failure

    def traced_failure(self, failure: StepFailedError) -> dict[str, Any]:
        shown = ("category", "code", "message", "severity")
        return {"_error": True, **{name: failure.details[name] for name in shown}}
