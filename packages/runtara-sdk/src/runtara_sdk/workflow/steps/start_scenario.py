"""StartScenario: runs a child scenario, durably."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.children import ChildScenario
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.surroundings import ChildCall
from runtara_sdk.workflow.time_limit import TimeLimit, fix_limit
from runtara_sdk.workflow.value_schema import checked

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import RunContext

CHILD_FAILED = "CHILD_SCENARIO_FAILED"
_DEFAULT_RETRIES = RetryPolicy()
_INHERITED = ("_scenario_id", "_workflow_id", "_instance_id", "_tenant_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartScenarioStep(Step):
    """Runs `child` with the mapped inputs as its data; its result is the output.

    The child sees nothing of the graph that starts it. Its failure keeps category and severity, and is kept whole as
    `childError`.

    Attributes:
        child: the embedded scenario.
        inputs: input mapping.
        max_retries: further attempts after the first; what the child has recorded is not done again.
        retry_delay_ms: wait before the second attempt, milliseconds.
        timeout_ms: bound of the whole step, all attempts included, milliseconds.
    """

    step_type: ClassVar[str] = "StartScenario"
    is_durable: ClassVar[bool] = True
    is_container: ClassVar[bool] = True

    child: ChildScenario
    inputs: Mapping[str, Value] = field(default_factory=dict)
    max_retries: int = _DEFAULT_RETRIES.max_retries
    retry_delay_ms: int = _DEFAULT_RETRIES.delay_ms
    timeout_ms: int | None = None

    @property
    def input_mapping(self) -> Mapping[str, Value]:
        return self.inputs

    def resolve(self, run: RunContext) -> dict[str, Any]:
        return resolve_mapping(self.inputs, run.roots)

    async def perform(self, run: RunContext, inputs: dict[str, Any]) -> Outcome:
        key = run.scope.key("start_scenario", self.id)

        async def attempt() -> Any:
            if self.timeout_ms is None:
                return await self._attempt(run, inputs, None)
            what = f"the child scenario {self.child.id!r}"
            limit = await fix_limit(run.clock, self.calls(run), key, self.timeout_ms, "START_SCENARIO_TIMEOUT", what)
            return await limit.apply(run.clock, self._attempt(run, inputs, limit))

        outputs = await self.calls(run).call(key, attempt, RetryPolicy(self.max_retries, self.retry_delay_ms))
        return Outcome(outputs, extras={"childScenarioId": self.child.id})

    async def _attempt(self, run: RunContext, inputs: dict[str, Any], limit: TimeLimit | None) -> Any:
        child = self.child
        data = checked(
            child.input_schema,
            inputs,
            code="CHILD_INPUT_INVALID",
            what=f"the input of the child scenario {child.id!r}",
            root="data",
        )
        scope = run.scope.child(self.id, is_root=run.is_root)
        variables = {
            **{name: value for name, value in child.variables.items() if not name.startswith("_")},
            **{name: run.variables[name] for name in _INHERITED if name in run.variables},
            "_scope_id": scope.scope_id,
            "_parent_scope_id": scope.parent_scope_id,
            "_cache_key_prefix": scope.base,
        }
        try:
            inner = run.child(scope, data=data, variables=variables, limit=limit)
            call = ChildCall(child.id, self.id, scope.base, lambda: child.graph(inner))
            return await run.surroundings.run_child(call)
        except StepFailedError as failure:
            raise self._failed(failure) from failure

    def _failed(self, failure: StepFailedError) -> StepFailedError:
        inner = failure.details
        asked = {} if failure.retry_after_ms is None else {"retryAfterMs": failure.retry_after_ms}
        return StepFailedError(
            CHILD_FAILED,
            f"the child scenario {self.child.id!r} failed: {failure.message}",
            category=inner["category"],
            severity=inner["severity"],
            stepId=self.id,
            stepName=self.display_name,
            stepType=self.step_type,
            childScenarioId=self.child.id,
            childError=inner,
            **asked,
        )
