"""Log: emits an event that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStep(Step):
    """Emits `workflow_log`; a run that is replayed emits it again. `level` is debug, info, warn or error."""

    step_type: ClassVar[str] = "Log"
    is_traced: ClassVar[bool] = False

    message: str
    level: str = "info"
    context: Mapping[str, Value] = field(default_factory=dict)

    def resolve(self, run: RunContext) -> dict[str, Any]:
        return resolve_mapping(self.context, run.roots)

    async def perform(self, run: RunContext, inputs: dict[str, Any]) -> Outcome:
        await run.events.log(self.id, self.display_name, self.level, self.message, inputs)
        return Outcome({"level": self.level, "message": self.message})
