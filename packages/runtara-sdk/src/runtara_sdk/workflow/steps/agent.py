"""Agent: calls one capability, durably."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.coercion import shown
from runtara_sdk.workflow.connections import as_input, credentials_refused, rate_limit_wait_ms
from runtara_sdk.workflow.failures import TRANSIENT, StepFailedError
from runtara_sdk.workflow.json_text import copy_json
from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.surroundings import CapabilityCall

if TYPE_CHECKING:
    from runtara_sdk.agents import AgentDefinition, CapabilityContext
    from runtara_sdk.workflow.run_context import RunContext

_DEFAULT_RETRIES = RetryPolicy()
_policy = lru_cache(maxsize=256)(RetryPolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStep(Step):
    """Calls `capability_id` of `agent` with the mapped inputs.

    Attributes:
        agent: the agent, imported by the generated module.
        agent_id: id of the agent as the scenario writes it; part of the checkpoint key.
        capability_id: id or alias of the capability as the scenario writes it; part of the checkpoint key.
        connection_id: the connection whose credentials the capability gets as `_connection`.
        connection_ref: gives its id when the step runs, and goes before it.
        inputs: input mapping.
        max_retries: further attempts after the first.
        retry_delay_ms: wait before the second attempt, milliseconds.
        timeout_ms: bound of one attempt, milliseconds; an attempt that reaches it failed with TIMEOUT.
    """

    step_type: ClassVar[str] = "Agent"
    is_durable: ClassVar[bool] = True

    agent: AgentDefinition
    agent_id: str
    capability_id: str
    connection_id: str | None = None
    connection_ref: Value | None = None
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
        key = run.scope.key("agent", self.agent_id, self.capability_id, self.id)
        policy = _policy(self.max_retries, self.retry_delay_ms)
        capability = self.agent.find_capability(self.capability_id)
        outputs = await self.calls(run).call(
            key,
            lambda: self._invoke(run, key, inputs),
            policy,
            interruptible=not (capability is not None and capability.runs_inline and not self._needs_connection),
            at_most_once=capability is not None and capability.effect == "at_most_once",
        )
        return Outcome(outputs)

    @property
    def _tag(self) -> str:
        return f"{self.agent_id}_{self.capability_id}"

    @property
    def _needs_connection(self) -> bool:
        return self.connection_id is not None or self.connection_ref is not None

    def traced_outputs(self, outcome: Outcome, record: dict[str, Any]) -> Any:
        return outcome.outputs

    async def _invoke(self, run: RunContext, key: str, inputs: dict[str, Any]) -> Any:
        # A workflow without agents loads none of this.
        from runtara_sdk.agents import CapabilityContext
        from runtara_sdk.workflow.step_parts import StepParts, UnrecordedParts

        capability = self.agent.find_capability(self.capability_id)
        # What was begun at most once is not begun again after a wait that ends the process.
        has_parts = self.calls(run).keep_records and capability is not None and capability.effect != "at_most_once"
        context = CapabilityContext(
            instance_id=run.sdk.instance_id,
            step_id=self.id,
            idempotency_key=f"{run.sdk.tenant_id}/{key}",
            clock=run.clock,
            deadline_ms=None if self.timeout_ms is None else run.clock.now_ms() + self.timeout_ms,
            workspace=run.surroundings.workspace(),
            durable=StepParts(run, key) if has_parts else UnrecordedParts(run),
        )
        # A copy for each attempt: what a capability does to its inputs must reach neither the next attempt nor the
        # records that they come from, as a replay would not see it.
        try:
            own_inputs = copy_json(inputs)
        except (TypeError, ValueError) as error:
            raise StepFailedError("INPUT_SERIALIZATION_ERROR", f"the inputs are not JSON: {error}") from error
        connection_id = self._connection_id(run)
        if connection_id is None:
            return await self._call(run, own_inputs, context)
        try:
            given = await self._connection_inputs(run, connection_id)
            return await self._call(run, copy_json(own_inputs) | given, context)
        except StepFailedError as failure:
            request = run.connection_request(connection_id, tag=self._tag, step_id=self.id)
            if not credentials_refused(failure.code) or not run.surroundings.forget_connection(request):
                raise
        # The secret may have changed since it was fetched: once more with what the service says now.
        return await self._call(run, own_inputs | await self._connection_inputs(run, connection_id), context)

    async def _call(self, run: RunContext, own_inputs: dict[str, Any], context: CapabilityContext) -> Any:
        from runtara_sdk.agents import AgentError

        try:
            recorded = self.calls(run).keep_records
            call = CapabilityCall(self.agent, self.agent_id, self.capability_id, self.id, own_inputs, context, recorded)
            result = await run.surroundings.invoke(call)
            return await self._fitting(run, result, context)
        except AgentError as error:
            failure = StepFailedError(**error.to_json())
            # The step, too: its failure is told before the run hears of it, with the attempt that follows.
            raise failure.located(
                stepId=self.id, stepName=self.name, agentId=self.agent_id, capabilityId=self.capability_id
            ) from error

    async def _fitting(self, run: RunContext, result: Any, context: CapabilityContext) -> Any:
        """The result, as a reference to a file where it is too large and the capability declares that it may be one."""
        capability = self.agent.find_capability(self.capability_id)
        if capability is None or capability.large_results != "spill":
            return result
        from runtara_sdk.workflow.spilled_results import spilled

        return await spilled(result, context.idempotency_key or "", run.calls.longest_result, context.workspace)

    def _connection_id(self, run: RunContext) -> str | None:
        if self.connection_ref is None:
            return self.connection_id
        found = self.connection_ref.resolve(run.roots)
        if not isinstance(found, str) or not found:
            raise StepFailedError(
                "CONNECTION_INVALID", f"connectionRef must give the id of a connection, a text, not {shown(found)}"
            )
        return found

    async def _connection_inputs(self, run: RunContext, connection_id: str) -> dict[str, Any]:
        """Asked for in each attempt: what is recorded needs none, and nothing of it is."""
        answer = await run.connection(connection_id, tag=self._tag, step_id=self.id)
        capability = self.agent.find_capability(self.capability_id)
        wait_ms = rate_limit_wait_ms(answer, run.clock.now_ms())
        if wait_ms is not None and capability is not None and capability.rate_limited:
            failure = StepFailedError(
                "RATE_LIMITED",
                f"connection {connection_id!r} may be used again in {wait_ms} ms",
                category=TRANSIENT,
                retryAfterMs=wait_ms,
            )
            raise failure
        return {"connection_id": connection_id, "_connection": as_input(answer)}
