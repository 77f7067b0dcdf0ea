"""While: runs its body as long as a condition holds."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runtara_sdk.instance_calls import calls_of
from runtara_sdk.retry import RetryPolicy
from runtara_sdk.workflow.bodies import pass_roots, pass_variables
from runtara_sdk.workflow.conditions import is_true
from runtara_sdk.workflow.failures import StepFailedError, wrapped
from runtara_sdk.workflow.mapping import Value, resolve_mapping
from runtara_sdk.workflow.steps.base import Outcome, Step
from runtara_sdk.workflow.time_limit import TimeLimit, fix_limit

if TYPE_CHECKING:
    from runtara_sdk.workflow.run_context import GraphFunction, RunContext

DEFAULT_MAX_ITERATIONS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WhileStep(Step):
    """Evaluates `condition` before each pass, with the root `loop` = {index, outputs of the pass before}.

    The loop itself is not recorded; the durable steps of its body are, for each pass. Only a loop with a timeout
    records its end, so that a later run does not measure it again.

    Attributes:
        condition: whether another pass is made.
        body: the graph of one pass.
        max_iterations: passes at most; reaching it is no failure.
        timeout_ms: bound of the whole loop from its first pass on, milliseconds.
        variables: further variables of the body.
        body_variables: defaults of the variables that the body declares.
    """

    step_type: ClassVar[str] = "While"
    is_durable: ClassVar[bool] = True
    is_container: ClassVar[bool] = True

    condition: Value
    body: GraphFunction
    max_iterations: int = DEFAULT_MAX_ITERATIONS
    timeout_ms: int | None = None
    variables: Mapping[str, Value] = field(default_factory=dict)
    body_variables: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, run: RunContext) -> None:
        return None

    async def perform(self, run: RunContext, inputs: None) -> Outcome:
        if self.timeout_ms is None:
            outputs = await self._loop(run, None)
        else:
            outputs = await self._loop_within(run, self.timeout_ms)
        return Outcome(outputs, extras={"iterations": outputs["iterations"]})

    def traced_inputs(self, inputs: None) -> Any:
        return {"maxIterations": self.max_iterations}

    async def _loop_within(self, run: RunContext, timeout_ms: int) -> dict[str, Any]:
        key = run.scope.key("while", self.id)

        async def loop() -> dict[str, Any]:
            limit = await fix_limit(
                run.clock, self.calls(run), key, timeout_ms, "WHILE_TIMEOUT", f"the loop {self.id!r}"
            )
            return await limit.apply(run.clock, self._loop(run, limit))

        outputs: dict[str, Any] = await self.calls(run).call(key, loop, RetryPolicy(0))
        return outputs

    async def _loop(self, run: RunContext, limit: TimeLimit | None) -> dict[str, Any]:
        index, outputs = 0, None
        while self._goes_on(run, index, outputs):
            if index == self.max_iterations:
                _warn(f"step {self.id!r} stopped after maxIterations = {index}, its condition still holds")
                break
            calls_of(run.sdk).raise_if_interrupted()
            outputs = await self._pass(run, index, outputs, limit)
            index += 1
        return {"iterations": index, "outputs": outputs}

    def _goes_on(self, run: RunContext, index: int, outputs: Any) -> bool:
        loop = {"index": index, "outputs": outputs}
        return is_true(self.condition.resolve({**run.roots, "loop": loop}))

    async def _pass(self, run: RunContext, index: int, previous: Any, limit: TimeLimit | None) -> Any:
        loop = {"index": index, "outputs": previous}
        scope = run.scope.iteration(self.id, index)
        given = resolve_mapping(self.variables, {**run.roots, "loop": loop})
        own: dict[str, Any] = {"_loop": loop}
        if index > 0:
            own["_previousOutputs"] = previous
        variables = pass_variables(run, scope, index, declared=self.body_variables, given=given, own=own)
        if index == 0:
            variables.pop("_previousOutputs", None)  # that of an enclosing loop
        inner = run.inner(
            scope,
            data=run.roots["data"],
            variables=variables,
            roots=pass_roots(scope, index, loop=loop),
            limit=limit,
        )
        try:
            return await self.body(inner)
        except StepFailedError as failure:
            text = f"pass {index} of the loop {self.id!r} failed: {failure.message}"
            raise wrapped(failure, text, index=index) from failure


def _warn(text: str) -> None:
    with suppress(OSError):
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201
