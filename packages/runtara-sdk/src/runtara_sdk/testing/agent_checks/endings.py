"""Calls that must end: at their deadline, and when they are cancelled."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from runtara_sdk.agents import AgentError, Capability, Example
from runtara_sdk.agents.errors import TIMEOUT
from runtara_sdk.clock import SystemClock
from runtara_sdk.testing.agent_checks.calls import AgentCalls, EndlessCallError, ProvidedCall
from runtara_sdk.testing.agent_checks.findings import Findings, findings
from runtara_sdk.testing.agent_checks.leftovers import unfinished_tasks

_DEADLINES_MS = (-1, 1, 20)
"""Of a call, from now on: one that is over already, one that is over at once, one in the middle."""

_MOMENTS_SECONDS = (0.0, 0.0, 0.0, 0.002, 0.01)
"""Waits before a call is cancelled: after the first, the second and the third turn of the event loop, and later."""

_REMEDY = "close and join what a call starts, and on threads heed context.cancellation"


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a call ended that was told to end.

    Attributes:
        seconds: from being told to the end.
        result: whether it gave a result after it was told.
        error: the error it gave.
        tasks: what it left in the event loop.
        is_over: whether it ended at all.
    """

    seconds: float
    result: bool = False
    error: BaseException | None = None
    tasks: tuple[str, ...] = ()
    is_over: bool = True


class AgentEndingCases(AgentCalls):
    """What every agent owes a workflow that cannot wait any longer."""

    def test_a_call_ends_at_its_deadline(self) -> None:
        """A call whose time is over ends at once, with its result or the transient error TIMEOUT."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for example in self._examples(capability):
                    for deadline_ms in _DEADLINES_MS:
                        with self._callable(capability, example) as call:
                            if call is None or not self._check_deadline(found, capability, example, call, deadline_ms):
                                break

    def test_cancellation_passes_through(self) -> None:
        """A cancelled call ends as cancelled, at once, leaves nothing, and the next call works."""
        with findings() as found:
            for capability in self.agent.capabilities:
                for example in self._examples(capability):
                    if all(
                        self._is_cancelled_well(found, capability, example, turns)
                        for turns in range(1, len(_MOMENTS_SECONDS) + 1)
                    ):
                        self._check_next_call(found, capability, example)

    def _is_cancelled_well(self, found: Findings, capability: Capability, example: Example, turns: int) -> bool:
        with self._callable(capability, example) as call:
            return call is not None and self._check_cancellation(found, capability, example, call, turns)

    def _check_next_call(self, found: Findings, capability: Capability, example: Example) -> None:
        with self._callable(capability, example) as call:
            outcome = None if call is None else self._attempt(capability.id, call.inputs, example=example)
        found.require(
            outcome is None or outcome.failure is None,
            f"{capability.id}: after a cancelled call the next one fails with {outcome and outcome.failure}: release "
            "in `finally` what a call holds",
        )

    def _check_deadline(
        self, found: Findings, capability: Capability, example: Example, call: ProvidedCall, deadline_ms: int
    ) -> bool:
        async def late() -> _Ending:
            known = asyncio.all_tasks()
            with self._surroundings(example, deadline_ms=SystemClock().now_ms() + deadline_ms) as context:
                began = time.monotonic()
                error = await _failure(self.agent.invoke(capability.id, call.inputs, context))
                seconds = time.monotonic() - began - max(deadline_ms, 0) / 1000
            await self.agent.close()
            return _Ending(seconds, error=error, tasks=(*await unfinished_tasks(known, self.grace_seconds),))

        leftovers = self._leftovers()
        try:
            ending = self._run(late)
        except EndlessCallError as endless:
            found.add(f"{capability.id}: a call whose time was over did not end: {endless}")
            return False
        error = ending.error
        timely = found.require(
            ending.seconds <= self.grace_seconds,
            f"{capability.id}: a call went on for {ending.seconds:.1f} s after its deadline: heed "
            "context.remaining_ms(), do not catch CancelledError, and do not block where runs_inline is declared",
        )
        expected = error is None or (isinstance(error, AgentError) and error.code == TIMEOUT and error.retryable)
        fitting = found.require(
            expected,
            f"{capability.id}: a call without time left ended with {_text(error)}: it must give its result or the "
            f"transient error {TIMEOUT}",
        )
        return self._left_nothing(found, f"{capability.id}: a call whose time is over", ending, leftovers.texts()) and (
            timely and fitting
        )

    def _check_cancellation(
        self, found: Findings, capability: Capability, example: Example, call: ProvidedCall, turns: int
    ) -> bool:
        async def cancelled() -> _Ending:
            known = asyncio.all_tasks()
            with self._surroundings(example) as context:
                task = asyncio.ensure_future(self.agent.invoke(capability.id, call.inputs, context))
                for seconds in _MOMENTS_SECONDS[:turns]:
                    await asyncio.sleep(seconds)
                was_under_way = task.cancel()  # does nothing to a call that has ended
                began = time.monotonic()
                await asyncio.wait([task], timeout=self.grace_seconds)
                seconds = time.monotonic() - began
            if not task.done():
                return _Ending(seconds, is_over=False)
            await self.agent.close()
            tasks = (*await unfinished_tasks(known, self.grace_seconds),)
            if task.cancelled() or not was_under_way:
                return _Ending(seconds, tasks=tasks)
            error = task.exception()
            return _Ending(seconds, result=error is None, error=error, tasks=tasks)

        leftovers = self._leftovers()
        try:
            ending = self._run(cancelled)
        except EndlessCallError:
            ending = _Ending(self.grace_seconds, is_over=False)
        if not ending.is_over:
            found.add(
                f"{capability.id}: a cancelled call did not end within {self.grace_seconds:g} s: let CancelledError "
                "pass, and do not wait for long in `finally`"
            )
            return False
        if ending.result or ending.error is not None:
            what = "gave a result" if ending.result else f"ended with {_text(ending.error)}"
            found.add(
                f"{capability.id} swallowed its cancellation and {what}: catch Exception, not BaseException, and raise "
                "CancelledError again"
            )
            return False
        return self._left_nothing(found, f"{capability.id}: a cancelled call", ending, leftovers.texts())

    def _left_nothing(self, found: Findings, call: str, ending: _Ending, others: list[str]) -> bool:
        left = [*ending.tasks, *others]
        return found.require(not left, f"{call} leaves behind {', '.join(left)}: {_REMEDY}")


async def _failure(call: Any) -> BaseException | None:
    try:
        await call
    except Exception as error:  # noqa: BLE001 - told by the check
        return error
    return None


def _text(error: BaseException | None) -> str:
    return str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}"
