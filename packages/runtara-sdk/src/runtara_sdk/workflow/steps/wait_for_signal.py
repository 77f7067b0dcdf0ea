"""WaitForSignal: waits durably until somebody answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.errors import SignalTimeoutError
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.coercion import shown
from runtara_sdk.workflow.failures import TIMEOUT, StepFailedError
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.mapping import Roots, Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.time_limit import wait_for_limit
from runtara_sdk.workflow.value_schema import Schema, checked

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import GraphFunction, RunContext

DEFAULT_POLL_INTERVAL_MS = 1000
_LONGEST_MS = 100 * 365 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class WaitInputs:
    """The id under which the answer is awaited, for how long, milliseconds, and what the request says beside."""

    signal_id: str
    timeout_ms: int | None
    action: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitAction:
    """What a request is about, for whoever lists and answers requests.

    Attributes:
        key: name of the kind of request, the same in each run.
        correlation: values to find the request by.
        context: values to show with it.
    """

    key: str | None = None
    correlation: Mapping[str, Value] = field(default_factory=dict)
    context: Mapping[str, Value] = field(default_factory=dict)

    def resolve(self, roots: Roots) -> dict[str, Any]:
        """Its JSON: `{key, correlation, context}`."""
        correlation, context = (resolve_mapping(values, roots) for values in (self.correlation, self.context))
        return {"key": self.key, "correlation": correlation, "context": context}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForSignalStep(Step):
    """Asks by the event `external_input_requested`, and waits for the custom signal that it names.

    The question is asked once, and the first answer is kept: a later run reads the same. A signal that comes before the
    wait is the answer; of several, the last one that came before the wait began to look; one that comes after the
    answer or after the timeout changes nothing. A long wait ends the process until the signal or the deadline comes.

    Attributes:
        timeout_ms: bound of the wait from its first time on, milliseconds; None waits without end.
        poll_interval_ms: of the language; the wait is told of the signal at once, so nothing polls.
        response_fields: schema in its JSON form: shown to whoever answers, and what the answer must fit.
        on_wait: graph that runs once before the question is asked, to notify somebody for example.
        on_wait_variables: defaults of the variables that it declares.
        action: what the request is about.
    """

    step_type: ClassVar[str] = "WaitForSignal"
    is_durable: ClassVar[bool] = True
    is_container: ClassVar[bool] = True

    timeout_ms: Value | None = None
    poll_interval_ms: int = DEFAULT_POLL_INTERVAL_MS
    response_fields: Mapping[str, Any] = field(default_factory=dict)
    on_wait: GraphFunction | None = None
    on_wait_variables: Mapping[str, Any] = field(default_factory=dict)
    action: WaitAction | None = None

    def resolve(self, run: RunContext) -> WaitInputs:
        timeout_ms = None if self.timeout_ms is None else _milliseconds(self.timeout_ms.resolve(run.roots))
        action = None if self.action is None else self.action.resolve(run.roots)
        return WaitInputs(run.scope.signal_id(run.sdk.instance_id, self.id), timeout_ms, action)

    def traced_inputs(self, inputs: WaitInputs) -> Any:
        return {
            "signal_id": inputs.signal_id,
            "timeout_ms": inputs.timeout_ms,
            "poll_interval_ms": self.poll_interval_ms,
            "response_schema": dict(self.response_fields) or None,
        }

    async def perform(self, run: RunContext, inputs: WaitInputs) -> Outcome:
        if self.on_wait is not None:
            await self._notify(run, inputs.signal_id, self.on_wait)
        await run.events.input_requested(
            self.id, self.display_name, inputs.signal_id, dict(self.response_fields), inputs.action
        )
        payload = _decoded(await self._payload(run, inputs))
        checked(
            Schema.from_json(self.response_fields),
            payload,
            code="SIGNAL_PAYLOAD_INVALID",
            what=f"the answer to the step {self.id!r}",
            root="payload",
        )
        return Outcome(payload, extras={"signal_id": inputs.signal_id})

    async def _payload(self, run: RunContext, inputs: WaitInputs) -> bytes:
        timeout_ms, limit = inputs.timeout_ms, run.limit
        if limit is not None:
            left_ms = max(0, limit.ends_at_ms - run.clock.now_ms())
            timeout_ms = left_ms if timeout_ms is None else min(timeout_ms, left_ms)
        bound = None if timeout_ms is None else timedelta(milliseconds=timeout_ms)
        try:
            return await run.sdk.wait_for_signal(inputs.signal_id, bound)
        except SignalTimeoutError as error:
            if limit is not None and run.clock.now_ms() >= limit.ends_at_ms - 1:
                await wait_for_limit()
            raise StepFailedError(
                "WAIT_TIMEOUT",
                f"no answer came to the step {self.id!r} within {inputs.timeout_ms} ms",
                category=TIMEOUT,
                signalId=inputs.signal_id,
            ) from error

    async def _notify(self, run: RunContext, signal_id: str, graph: GraphFunction) -> None:
        scope = run.scope.body(self.id)
        variables = {
            **run.variables,
            **self.on_wait_variables,
            "_scope_id": scope.scope_id,
            "_parent_scope_id": scope.parent_scope_id,
            "_signal_id": signal_id,
            "_instance_id": run.sdk.instance_id,
        }
        inner = run.inner(scope, data=run.roots["data"], variables=variables)

        async def notify() -> None:
            await graph(inner)

        await self.calls(run).call(run.scope.key("on_wait", self.id), notify, RetryPolicy(0))


def _milliseconds(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_MS:
        raise StepFailedError(
            "INVALID_DURATION", f"timeoutMs must be a number of milliseconds from 0 to 100 years, not {shown(value)}"
        )
    return int(value)


def _decoded(payload: bytes) -> Any:
    """The JSON of a payload, else its text."""
    try:
        return decode_json(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")
