"""What lies outside of a program in a trial: its answers to calls, children and connections, and what was asked of it.

The world outlives the launches of the program, as services do: a call that is made again, because the program died
before it recorded the answer, gets the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from runtara_sdk.agents.errors import AgentError
from runtara_sdk.clock import Clock
from runtara_sdk.testing.jumping_clock import JumpingClock
from runtara_sdk.testing.memory_store import MemoryStore
from runtara_sdk.workflow.connections import ConnectionRequest, checked_answer
from runtara_sdk.workflow.failures import StepFailedError
from runtara_sdk.workflow.scope import plain_part
from runtara_sdk.workflow.surroundings import CapabilityCall, ChildCall, Surroundings


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands in for a capability or a child: a result, or an error object `{code, message, category, ...}`."""

    output: Any = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call of a capability: `agent/capability`, its step and its inputs."""

    capability: str
    step_id: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallQuestion:
    """A call that a program is about to make.

    Attributes:
        written: `agent/capability` as the scenario has it.
        capability: the same with the ids that they are known by.
        step_id: the step that calls.
        inputs: JSON.
        key: what a service would tell repetitions by.
        is_recorded: whether the result will be kept.
    """

    written: str
    capability: str
    step_id: str
    inputs: Mapping[str, Any]
    key: str
    is_recorded: bool

    @classmethod
    def of(cls, call: CapabilityCall) -> CallQuestion:
        """The question that a call is."""
        capability = call.agent.find_capability(call.capability_id)
        written = f"{call.agent_id}/{call.capability_id}"
        own = written if capability is None else f"{call.agent.id}/{capability.id}"
        key = (call.context.idempotency_key or "").partition("/")[2]
        return cls(written, own, call.step_id, call.inputs, key, call.is_recorded)


class TrialWorld:
    """Answers from a trial, and notes what was asked.

    Attributes:
        calls: the calls of capabilities, in order.
        repeated_calls: calls that were made again, because the program died before it recorded them.
    """

    def __init__(
        self,
        store: MemoryStore,
        *,
        capabilities: Mapping[str, Sequence[Answer]],
        children: Mapping[str, Sequence[Answer]],
        connections: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._store = store
        self._answered: dict[tuple[str, int, int], Answer | None] = {}
        self._failures: Counter[tuple[str, int]] = Counter()
        self._capabilities = {name: list(answers) for name, answers in capabilities.items()}
        self._children = {name: list(answers) for name, answers in children.items()}
        self._connections = dict(connections)
        self.calls: list[RecordedCall] = []
        self.repeated_calls = 0

    def call(self, question: CallQuestion) -> Answer | None:
        """The answer to a call; None when it is really to be made."""
        # What tells a repetition from a new attempt is what a service would go by, and what the store has recorded.
        epoch = self._store.epoch
        occasion = question.key, self._attempts_of(question.key), self._failures[question.key, epoch]
        if occasion in self._answered:
            self.repeated_calls += 1
            answer = self._answered[occasion]
        else:
            self.calls.append(RecordedCall(question.capability, question.step_id, question.inputs))
            answer = _next_answer(self._capabilities, question.step_id, question.written, question.capability)
            self._answered[occasion] = answer
        if answer is not None and answer.error is not None:
            # Of a step without records only this tells that it is tried again.
            self._failures[question.key, epoch] += not question.is_recorded
        return answer

    def connection(self, connection_id: str) -> dict[str, Any] | None:
        """What stands in for a connection; None when it is really to be fetched."""
        answer = self._connections.get(connection_id)
        return None if answer is None else dict(answer)

    def child(self, child_id: str, step_id: str, base: str) -> Answer | None:
        """What stands in for a child; None when it is really to be run."""
        occasion = base, self._attempts_of(f"start_scenario::{plain_part(step_id)}"), 0
        if occasion not in self._answered:
            self._answered[occasion] = _next_answer(self._children, step_id, child_id)
        return self._answered[occasion]

    def _attempts_of(self, key: str) -> int:
        """How often the call itself, or a step that encloses it, has been tried again."""
        recorded = (checkpoint_id for checkpoint_id, _ in self._store.attempts)
        return sum(key in checkpoint_id or "::agent::" not in checkpoint_id for checkpoint_id in recorded)


class TrialSurroundings(Surroundings):
    """The surroundings of a program that runs in the process of its trial."""

    stops_at_breakpoints = False

    def __init__(self, world: TrialWorld, clock: JumpingClock) -> None:
        super().__init__(clock)
        self._world = world
        self._jumping = clock

    def complain(self, message: str) -> None:
        """Nothing: the outcome tells."""

    async def invoke(self, call: CapabilityCall) -> Any:
        answer = self._world.call(CallQuestion.of(call))
        if answer is not None:
            return capability_result(answer)
        call = replace(call, context=replace(call.context, clock=_ClockAtWork(self._jumping)))
        with self._jumping.real_work():
            return await super().invoke(call)

    async def connection(self, request: ConnectionRequest) -> dict[str, Any]:
        answer = self._world.connection(request.connection_id)
        if answer is not None:
            return checked_answer(request, answer)
        with self._jumping.real_work():
            return await super().connection(request)

    def waiting(self) -> AbstractContextManager[None]:
        return self._jumping.rest()

    async def run_child(self, call: ChildCall) -> Any:
        answer = self._world.child(call.child_id, call.step_id, call.base)
        return await super().run_child(call) if answer is None else child_result(answer)


class _ClockAtWork(Clock):
    """The clock of a capability that is really called: time stands still while it works, not while it waits."""

    def __init__(self, jumping: JumpingClock) -> None:
        self._jumping = jumping

    def now_ms(self) -> int:
        return self._jumping.now_ms()

    async def sleep(self, seconds: float) -> None:
        with self._jumping.rest():
            await self._jumping.sleep(seconds)


def capability_result(answer: Answer) -> Any:
    """What the call of a capability gives; raises `AgentError`."""
    error = answer.error
    if error is None:
        return answer.output
    raise AgentError(
        str(error.get("code", "CAPABILITY_ERROR")),
        str(error.get("message", "failed, as the case says")),
        category=error.get("category", "permanent"),
        severity=error.get("severity"),
        retry_after_ms=error.get("retryAfterMs"),
        attributes=error.get("attributes"),
    )


def child_result(answer: Answer) -> Any:
    """What a child gives; raises `StepFailedError`."""
    if answer.error is None:
        return answer.output
    given = {"code": "CHILD_ERROR", "message": "failed, as the case says", **answer.error}
    raise StepFailedError(**given)


def _next_answer(answers: Mapping[str, list[Answer]], *names: str) -> Answer | None:
    for name in names:
        waiting = answers.get(name)
        if waiting:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]
    return None
