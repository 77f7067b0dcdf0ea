"""Connection: fetches what a stored connection holds; nothing of it is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from runtara_sdk.workflow.connections import as_input, rate_limit_wait_ms
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.steps.base import Outcome, Step

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStep(Step):
    """Fetches `connection_id`, which must be of the kind `integration_id`.

    While the connection is limited in its rate, the step sleeps durably, and fetches it once more.
    """

    step_type: ClassVar[str] = "Connection"
    is_traced: ClassVar[bool] = False

    connection_id: str
    integration_id: str

    def resolve(self, run: RunContext) -> None:
        return None

    async def perform(self, run: RunContext, inputs: None) -> Outcome:
        answer = await run.connection(self.connection_id, tag=self.integration_id, step_id=self.id)
        wait_ms = rate_limit_wait_ms(answer, run.clock.now_ms())
        if wait_ms is not None:
            await self.calls(run).sleep(run.scope.key("connection", self.id), wait_ms)
            answer = await run.connection(self.connection_id, tag=self.integration_id, step_id=self.id)
        if answer["integration_id"] != self.integration_id:
            raise StepFailedError(
                "CONNECTION_INVALID",
                f"connection {self.connection_id!r} is of the kind {answer['integration_id']!r}, "
                f"not {self.integration_id!r}",
            )
        return Outcome(as_input(answer))
