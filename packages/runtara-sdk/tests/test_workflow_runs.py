"""Whole runs of workflows on a store in memory: records, branches, retries, resuming, interruptions, outcomes."""

from __future__ import annotations

import asyncio
import errno
import io
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext, capability
from runtara_sdk.backend import InstanceBackend
from runtara_sdk.errors import InstanceSuperseded, StaleEpochError, TransportError
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import (
    CallProgress,
    CheckpointResult,
    EventType,
    InstanceEvent,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    RetryState,
    Signal,
    SignalPoll,
    SignalType,
    SignalWait,
    SleepOutcome,
    SleepState,
    StatusReport,
)
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.clock import ManualClock
from runtara_sdk.workflow import (
    AgentStep,
    ConditionalStep,
    DelayStep,
    FinishStep,
    LogStep,
    Run,
    Step,
    Workflow,
    composite,
    immediate,
    operation,
    reference,
    template,
)
from runtara_sdk.workflow.program import EXIT_DONE, EXIT_FAILED, EXIT_SUPERSEDED, EXIT_USAGE, run_instance, run_workflow

KEY = "orders::i-1::agent::Tester::call::first"


@dataclass
class MemoryBackend(InstanceBackend):
    """The contract of a store, in memory; outlives the program that uses it."""

    clock: ManualClock = field(default_factory=ManualClock)
    stored: dict[str, bytes] = field(default_factory=dict)
    deadlines: dict[str, int] = field(default_factory=dict)
    events: list[InstanceEvent] = field(default_factory=list)
    retries: list[tuple[str, int]] = field(default_factory=list)
    next_attempts: dict[str, tuple[int, RetryAttempt]] = field(default_factory=dict)
    acknowledged: list[SignalType] = field(default_factory=list)
    signal: Signal | None = None
    failure: Exception | None = None
    can_suspend: bool = True  # type: ignore[assignment]  # a field stands in for the property

    async def connect(self) -> None: ...

    async def close(self) -> None: ...

    async def register(self, checkpoint_id: str | None) -> Registration:
        return Registration(1)

    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        self._fail()
        found = checkpoint_id in self.stored
        return CheckpointResult(found, self.stored.setdefault(checkpoint_id, state), self.signal)

    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        return [await self.checkpoint(each.checkpoint_id, each.state) for each in new]

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        self._fail()
        return self.stored.get(checkpoint_id)

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        state = await self.get_checkpoint(checkpoint_id)
        if state is not None or checkpoint_id not in self.next_attempts:
            return CallProgress(state)
        at_ms, attempt = self.next_attempts[checkpoint_id]
        left_ms = max(0, at_ms - self.clock.now_ms())
        return CallProgress(
            None, RetryState(attempt.attempt_number, attempt.error, at_ms, left_ms, attempt.retries_used)
        )

    async def sleep(self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int) -> SleepOutcome:
        self.stored.setdefault(checkpoint_id, state)
        wake_at = self.deadlines.setdefault(checkpoint_id, self.clock.now_ms() + duration_ms)
        left = max(0, wake_at - self.clock.now_ms())
        if left == 0:
            return SleepOutcome(SleepState.DONE, wake_at, 0)
        state_now = SleepState.SUSPENDED if left > suspend_above_ms else SleepState.WAIT
        return SleepOutcome(state_now, wake_at, left)

    async def report_event(self, event: InstanceEvent) -> None:
        self.events.append(event)

    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        return SignalPoll(self.signal)

    async def acknowledge_signal(self, signal: Signal) -> None:
        self.acknowledged.append(signal.signal_type)

    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int
    ) -> SleepOutcome:
        assert attempt.error is not None
        json.loads(attempt.error)
        at_ms, known = self.next_attempts.get(checkpoint_id, (0, None))
        if known is None or known.attempt_number < attempt.attempt_number:
            self.retries.append((checkpoint_id, attempt.attempt_number))
            at_ms = self.clock.now_ms() + attempt.wait_ms
            self.next_attempts[checkpoint_id] = (at_ms, attempt)
            self.deadlines[f"{checkpoint_id} attempt {attempt.attempt_number}"] = at_ms
        left = max(0, at_ms - self.clock.now_ms())
        if left == 0:
            return SleepOutcome(SleepState.DONE, at_ms, 0)
        return SleepOutcome(SleepState.SUSPENDED if left > suspend_above_ms else SleepState.WAIT, at_ms, left)

    async def wait_signal(
        self, checkpoint_id: str, timeout_ms: int | None, *, suspend_above_ms: int | None, beside: Any = None
    ) -> SignalWait:
        raise NotImplementedError

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        return StatusReport(instance_id, found=True)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def of_type(self, event_type: EventType, subtype: str | None = None) -> list[Any]:
        """Payloads of the events of a kind, as JSON."""
        return [
            json.loads(event.payload)
            for event in self.events
            if event.event_type is event_type and event.subtype == subtype
        ]


class Note(BaseModel):
    value: Any = None


class RecordingAgent:
    """An agent that counts its calls and does what the test says."""

    def __init__(self, answer: Callable[[Note], Awaitable[Any]] | None = None) -> None:
        self.calls: list[Any] = []
        self.contexts: list[CapabilityContext] = []
        self._answer = answer

        @capability()
        async def call(inputs: Note, context: CapabilityContext) -> Any:
            self.calls.append(inputs.value)
            self.contexts.append(context)
            return await self._answer(inputs) if self._answer is not None else {"echo": inputs.value}

        self.definition = AgentDefinition(id="tester", capabilities=[call])

    def step(self, step_id: str, **fields: Any) -> AgentStep:
        return AgentStep(id=step_id, agent=self.definition, agent_id="Tester", capability_id="call", **fields)


def workflow_of(*steps: Step, debug: bool = False) -> Workflow:
    """As the compiler writes it: steps in order, all but the first guarded."""

    async def graph(run: Run) -> Any:
        for step in steps:
            if step is not steps[0] and not run.reached(step):
                continue
            if isinstance(step, FinishStep):
                return await run.finish(step)
            await run.do(step)
        return None

    return Workflow(id="orders", version=1, graph=graph, debug=debug, variables={"limit": 10, "own": 1})


async def run(workflow: Workflow, backend: MemoryBackend, envelope: str = "{}", *, heartbeat_ms: int = 0) -> int:
    settings = InstanceSettings(
        "i-1", "acme", heartbeat_interval_ms=heartbeat_ms, signal_poll_interval_ms=1_000_000, sleep_threshold_ms=5_000
    )
    sdk = RuntaraSdk(settings, backend=backend, clock=backend.clock)
    return await run_instance(workflow, sdk, EnvironmentReader({"INPUT_JSON": envelope}))


async def run_moving_time(workflow: Workflow, backend: MemoryBackend, step_ms: int = 500) -> int:
    """Run while the clock moves whenever the program has nothing else to do."""
    task = asyncio.ensure_future(run(workflow, backend))
    for _ in range(10_000):
        if task.done():
            return task.result()
        for _ in range(10):
            await asyncio.sleep(0)
        backend.clock.advance(step_ms)
    raise AssertionError("the run does not end")


async def test_output_records_and_variables() -> None:
    tester, backend = RecordingAgent(), MemoryBackend()
    workflow = workflow_of(
        tester.step("first", name="First", inputs={"value": reference("data.who")}, then=("end",)),
        FinishStep(
            id="end",
            result={
                "record": reference("steps.first"),
                "ids": reference("variables._scenario_id"),
                "tenant": reference("variables._tenant_id"),
                "limit": reference("variables.limit"),
                "own": reference("scenario.inputs.variables.own"),
                "again": reference("workflow.inputs.data.who"),
            },
        ),
    )
    envelope = {"data": {"who": "Ada"}, "variables": {"limit": 20, "_tenant_id": "evil"}}
    assert await run(workflow, backend, json.dumps(envelope)) == EXIT_DONE
    assert backend.of_type(EventType.COMPLETED) == [
        {
            "record": {
                "stepId": "first",
                "stepName": "First",
                "stepType": "Agent",
                "outputs": {"echo": "Ada"},
            },
            "ids": "orders::i-1",
            "tenant": "acme",
            "limit": 20,
            "own": 1,
            "again": "Ada",
        }
    ]
    assert json.loads(backend.stored[KEY]) == {"echo": "Ada"}
    assert tester.contexts[0].idempotency_key == f"acme/{KEY}"
    assert tester.contexts[0].step_id == "first"


@pytest.mark.parametrize(
    ("document", "data"),
    [
        ('{"who": 1}', {"who": 1}),
        ('{"data": {"who": 1}}', {"who": 1}),
        ('{"data": 5, "variables": []}', {}),
        ('{"data": {"x": 1}, "who": 1}', {"data": {"x": 1}, "who": 1}),
        ("{}", {}),
        ("null", {}),
    ],
)
async def test_input_forms(document: str, data: dict[str, Any]) -> None:
    backend = MemoryBackend()
    await run(workflow_of(FinishStep(id="end", result={"outputs": reference("data")})), backend, document)
    assert backend.of_type(EventType.COMPLETED) == [data]


@pytest.mark.parametrize("document", ["{", "[1]", '"x"', '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "[" * 300])
async def test_unusable_input_fails_the_run(document: str) -> None:
    backend = MemoryBackend()
    assert await run(workflow_of(FinishStep(id="end")), backend, document) == EXIT_FAILED
    assert backend.of_type(EventType.FAILED)[0]["code"] == "INVALID_INPUT"


async def test_finish_unwraps_outputs_only_when_it_stands_alone() -> None:
    alone, beside = MemoryBackend(), MemoryBackend()
    await run(workflow_of(FinishStep(id="end", result={"outputs": immediate([1])})), alone)
    await run(workflow_of(FinishStep(id="end", result={"outputs": immediate([1]), "x": immediate(2)})), beside)
    assert alone.of_type(EventType.COMPLETED) == [[1]]
    assert beside.of_type(EventType.COMPLETED) == [{"outputs": [1], "x": 2}]


@pytest.mark.parametrize(("total", "expected"), [(5, ["low"]), (50, ["high"])])
async def test_branches_join_and_each_step_runs_once(total: int, expected: list[str]) -> None:
    tester, backend = RecordingAgent(), MemoryBackend()
    workflow = workflow_of(
        ConditionalStep(
            id="check",
            condition=operation("GT", reference("data.total"), immediate(10)),
            if_true=("high",),
            if_false=("low",),
        ),
        tester.step("high", inputs={"value": immediate("high")}, then=("join",)),
        tester.step("low", inputs={"value": immediate("low")}, then=("join",)),
        tester.step("join", inputs={"value": reference("steps.check.outputs.result")}, then=("end",)),
        FinishStep(id="end", result={"missing": reference("steps.nowhere.outputs")}),
    )
    assert await run(workflow, backend, json.dumps({"total": total})) == EXIT_DONE
    assert tester.calls == [*expected, total > 10]
    assert backend.of_type(EventType.COMPLETED) == [{"missing": None}]


async def test_without_finish_the_output_is_null() -> None:
    backend = MemoryBackend()
    assert await run(workflow_of(LogStep(id="log", message="hi")), backend) == EXIT_DONE
    assert backend.of_type(EventType.COMPLETED) == [None]


async def test_replay_calls_nothing_again() -> None:
    tester, backend = RecordingAgent(), MemoryBackend()
    workflow = workflow_of(
        tester.step("first", then=("end",)), FinishStep(id="end", result={"outputs": reference("steps.first.outputs")})
    )
    await run(workflow, backend)
    await run(workflow, backend)
    assert len(tester.calls) == 1
    assert backend.of_type(EventType.COMPLETED) == [{"echo": None}] * 2


async def test_corrupt_checkpoint_fails_the_run_and_calls_nothing() -> None:
    tester, backend = RecordingAgent(), MemoryBackend(stored={KEY: b"\xff not JSON"})
    assert await run(workflow_of(tester.step("first")), backend) == EXIT_FAILED
    assert tester.calls == []
    (failure,) = backend.of_type(EventType.FAILED)
    assert KEY in failure["message"]
    assert "JSON" in failure["message"]


async def test_transient_failures_are_retried_with_growing_waits() -> None:
    attempts = 0

    async def fail_twice(_: Note) -> str:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise AgentError.transient("BUSY", "try later")
        return "done"

    tester, backend = RecordingAgent(fail_twice), MemoryBackend()
    started = backend.clock.now_ms()
    assert await run_moving_time(workflow_of(tester.step("first", retry_delay_ms=2000)), backend) == EXIT_DONE
    assert attempts == 3
    assert backend.retries == [(KEY, 2), (KEY, 3)]
    last = backend.next_attempts[KEY][1]
    assert last.max_attempts == 4
    failure = json.loads(last.error or "")
    assert (failure["message"], failure["stepId"], failure["agentId"]) == ("try later", "first", "Tester")
    waits = [backend.deadlines[f"{KEY} attempt {attempt}"] - started for attempt in (2, 3)]
    assert waits[0] == 2000
    assert 6000 <= waits[1] < 7000


async def test_long_backoff_suspends_and_the_attempt_number_survives() -> None:
    async def fail(_: Note) -> None:
        raise AgentError.transient("BUSY", "try later", retry_after_ms=60_000)

    tester, backend = RecordingAgent(fail), MemoryBackend()
    workflow = workflow_of(tester.step("first", max_retries=2, retry_delay_ms=1))
    for launch in (1, 2):
        assert await run(workflow, backend) == EXIT_DONE
        assert len(tester.calls) == launch
        backend.clock.advance(60_000)
    assert await run(workflow, backend) == EXIT_FAILED
    failure = backend.of_type(EventType.FAILED)[0]
    assert (failure["code"], failure["attempts"], failure["retryAfterMs"]) == ("BUSY", 3, 60_000)
    assert len(tester.calls) == 3
    assert backend.retries == [(KEY, 2), (KEY, 3)]


async def test_what_a_capability_does_to_its_inputs_stays_with_it() -> None:
    seen: list[Any] = []

    async def spoil(inputs: Note) -> list[Any]:
        seen.append(list(inputs.value))
        inputs.value.append("spoilt")
        if len(seen) == 1:
            raise AgentError.transient("BUSY", "try later")
        return []

    agent, backend = RecordingAgent(spoil), MemoryBackend()
    workflow = workflow_of(
        agent.step("first", inputs={"value": reference("data.list")}, retry_delay_ms=1, then=("end",)),
        FinishStep(id="end", result={"outputs": reference("data.list")}),
    )
    task = asyncio.ensure_future(run(workflow, backend, '{"list": [1]}'))
    while not task.done():
        await asyncio.sleep(0)
        backend.clock.advance(1)
    assert seen == [[1], [1]]
    assert backend.of_type(EventType.COMPLETED) == [[1]]


async def test_permanent_failure_is_not_retried_and_keeps_its_structure() -> None:
    async def fail(_: Note) -> None:
        raise AgentError.permanent("HTTP_NOT_FOUND", "no such order", attributes={"status_code": 404})

    tester, backend = RecordingAgent(fail), MemoryBackend()
    assert await run(workflow_of(tester.step("first", name="First")), backend) == EXIT_FAILED
    assert len(tester.calls) == 1
    assert backend.of_type(EventType.FAILED) == [
        {
            "code": "HTTP_NOT_FOUND",
            "message": "no such order",
            "category": "permanent",
            "severity": "error",
            "attributes": {"status_code": "404"},
            "agentId": "Tester",
            "capabilityId": "call",
            "attempts": 1,
            "stepId": "first",
            "stepName": "First",
        }
    ]


async def test_half_a_character_in_a_failure_is_reported_all_the_same() -> None:
    async def fail(_: Note) -> None:
        raise AgentError.permanent("BAD_ANSWER", "half of it: \ud800")

    tester, backend = RecordingAgent(fail), MemoryBackend()
    assert await run(workflow_of(tester.step("first")), backend) == EXIT_FAILED
    assert backend.of_type(EventType.FAILED)[0]["message"] == "half of it: \ud800"


async def test_a_result_nested_too_deeply_fails_its_step() -> None:
    async def answer(_: Note) -> Any:
        value: Any = []
        for _ in range(500):
            value = [value]
        return value

    tester, backend = RecordingAgent(answer), MemoryBackend()
    assert await run(workflow_of(tester.step("first")), backend) == EXIT_FAILED
    failure = backend.of_type(EventType.FAILED)[0]
    assert (failure["code"], failure["stepId"]) == ("OUTPUT_SERIALIZATION_ERROR", "first")
    assert len(tester.calls) == 1


async def test_an_output_nested_too_deeply_is_a_failure_and_no_crash() -> None:
    backend = MemoryBackend()
    finish = FinishStep(id="end", result={".".join("x" * 3000): immediate(1)})
    assert await run(workflow_of(finish, debug=True), backend) == EXIT_FAILED
    assert backend.of_type(EventType.FAILED)[0]["code"] == "OUTPUT_SERIALIZATION_ERROR"


async def test_a_log_line_that_cannot_be_written_fails_nothing() -> None:
    backend = MemoryBackend()
    log = LogStep(id="log", message="hi", context={".".join("x" * 3000): immediate(1)}, then=("end",))
    assert await run(workflow_of(log, FinishStep(id="end")), backend) == EXIT_DONE


class FullDisk(io.StringIO):
    """A log file that takes nothing more."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_failure_is_reported_when_nothing_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    finish = FinishStep(id="end", result={"n": reference("data.n", type="integer")})
    monkeypatch.setattr("sys.stderr", FullDisk())
    assert await run(workflow_of(finish), backend, '{"n": "x"}') == EXIT_FAILED
    assert backend.of_type(EventType.FAILED)[0]["code"] == "TYPE_COERCION_ERROR"


async def test_failed_mapping_names_the_step() -> None:
    backend = MemoryBackend()
    finish = FinishStep(id="end", result={"n": reference("data.n", type="integer")})
    assert await run(workflow_of(finish), backend, '{"n": "x"}') == EXIT_FAILED
    failure = backend.of_type(EventType.FAILED)[0]
    assert (failure["code"], failure["stepId"]) == ("TYPE_COERCION_ERROR", "end")


@pytest.mark.parametrize("signal_type", [SignalType.CANCEL, SignalType.PAUSE, SignalType.SHUTDOWN])
async def test_signal_is_obeyed_after_the_checkpoint(signal_type: SignalType) -> None:
    tester, backend = RecordingAgent(), MemoryBackend(signal=Signal(signal_type))
    workflow = workflow_of(tester.step("first", then=("second",)), tester.step("second"))
    assert await run(workflow, backend) == EXIT_DONE
    assert len(tester.calls) == 1
    assert KEY in backend.stored
    assert backend.acknowledged == [signal_type]
    assert not backend.of_type(EventType.COMPLETED)
    assert not backend.of_type(EventType.FAILED)


async def test_cancel_interrupts_a_call_and_is_no_error() -> None:
    backend = MemoryBackend()

    async def wait_for_ever(_: Note) -> None:
        backend.signal = Signal(SignalType.CANCEL)
        await asyncio.Event().wait()

    tester = RecordingAgent(wait_for_ever)
    assert await run_moving_time(workflow_of(tester.step("first")), backend) == EXIT_DONE
    assert backend.acknowledged == [SignalType.CANCEL]
    assert not backend.of_type(EventType.FAILED)
    assert not backend.retries


async def test_superseded_program_reports_nothing() -> None:
    tester, backend = RecordingAgent(), MemoryBackend(failure=StaleEpochError("launch 2 owns the instance"))
    assert await run(workflow_of(tester.step("first")), backend) == EXIT_SUPERSEDED
    assert not backend.events
    assert not tester.calls


async def test_store_that_is_away_is_no_failure_of_the_workflow() -> None:
    tester, backend = RecordingAgent(), MemoryBackend(failure=TransportError("core is away"))
    with pytest.raises(TransportError):
        await run(workflow_of(tester.step("first")), backend)
    assert not backend.of_type(EventType.FAILED)


async def test_delay_keeps_its_deadline_over_restarts() -> None:
    backend = MemoryBackend()
    workflow = workflow_of(
        DelayStep(id="nap", duration_ms=reference("data.ms"), then=("end",)),
        FinishStep(id="end", result={"outputs": reference("steps.nap")}),
    )
    started = backend.clock.now_ms()
    assert await run(workflow, backend, '{"ms": 86400000.9}') == EXIT_DONE
    assert backend.deadlines == {"orders::i-1::delay::nap": started + 86_400_000}
    backend.clock.advance(86_400_000)
    assert await run(workflow, backend, '{"ms": 86400000.9}') == EXIT_DONE
    assert backend.of_type(EventType.COMPLETED)[0]["outputs"] == {"duration_ms": 86_400_000}
    assert backend.of_type(EventType.COMPLETED)[0]["duration_ms"] == 86_400_000


@pytest.mark.parametrize("value", ['"5"', "null", "true", "1e300"])
async def test_unusable_duration_fails_the_step(value: str) -> None:
    backend = MemoryBackend()
    workflow = workflow_of(DelayStep(id="nap", duration_ms=reference("data.ms")))
    assert await run(workflow, backend, f'{{"ms": {value}}}') == EXIT_FAILED
    assert backend.of_type(EventType.FAILED)[0]["code"] == "INVALID_DURATION"


async def test_log_event() -> None:
    backend = MemoryBackend()
    step = LogStep(
        id="log", message="hi", level="warn", context={"who": reference("data.who"), "_connection": immediate({"t": 1})}
    )
    await run(workflow_of(step), backend, '{"who": "Ada"}')
    assert backend.of_type(EventType.CUSTOM, "workflow_log") == [
        {
            "step_id": "log",
            "step_name": "Unnamed",
            "level": "warn",
            "message": "hi",
            "context": {"who": "Ada", "_connection": "[redacted]"},
            "timestamp_ms": backend.of_type(EventType.CUSTOM, "workflow_log")[0]["timestamp_ms"],
        }
    ]


async def test_debug_events_redact_and_shorten() -> None:
    tester, backend = RecordingAgent(), MemoryBackend()
    workflow = workflow_of(
        tester.step("first", inputs={"value": immediate("é" * 10_000), "_connection": immediate({"token": "t"})}),
        debug=True,
    )
    await run(workflow, backend)
    start = backend.of_type(EventType.CUSTOM, "step_debug_start")[0]
    end = backend.of_type(EventType.CUSTOM, "step_debug_end")[0]
    assert (start["step_id"], start["step_type"], start["loop_indices"]) == ("first", "Agent", [])
    assert start["inputs"]["_truncated"] is True
    assert start["inputs"]["_original_size"] > 20_000
    assert end["outputs"]["_preview"].startswith('{"echo":"éé')
    assert end["duration_ms"] >= 0
    assert not any(b"token" in event.payload for event in backend.events)


async def test_debug_events_tell_where_inputs_come_from() -> None:
    tester, backend = RecordingAgent(), MemoryBackend()
    inputs = {
        "value": reference("data.who", type="string", default="nobody"),
        "headers": composite({"Authorization": immediate("Bearer abc"), "Accept": template("{{ data.who }}")}),
    }
    await run(workflow_of(tester.step("first", inputs=inputs), debug=True), backend, '{"who": "Ada"}')
    start = backend.of_type(EventType.CUSTOM, "step_debug_start")[0]
    assert start["inputs"] == {"value": "Ada", "headers": {"Authorization": "[redacted]", "Accept": "Ada"}}
    assert start["input_mapping"] == {
        "value": {"valueType": "reference", "value": "data.who", "type": "string", "default": "nobody"},
        "headers": {
            "valueType": "composite",
            "value": {
                "Authorization": "[redacted]",
                "Accept": {"valueType": "template", "value": "{{ data.who }}"},
            },
        },
    }


def test_a_launch_that_is_superseded_before_it_registers_says_so_by_its_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> int:
        raise InstanceSuperseded("instance i is at epoch 2, the call came from epoch 1")

    monkeypatch.setattr("runtara_sdk.workflow.program._run", refused)
    assert run_workflow(workflow_of(FinishStep(id="end"))) == EXIT_SUPERSEDED
    assert capsys.readouterr().err == "error: instance i is at epoch 2, the call came from epoch 1\n"


def test_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = workflow_of(FinishStep(id="end"))
    assert run_workflow(workflow, ["--version"]) == EXIT_DONE
    assert "orders version 1" in capsys.readouterr().out
    assert run_workflow(workflow, ["--help"]) == EXIT_DONE
    assert "RUNTARA_INSTANCE_ID" in capsys.readouterr().out
    assert run_workflow(workflow, ["--bogus"]) == EXIT_USAGE
    assert capsys.readouterr().err.startswith("error: unknown argument '--bogus'")
    for arguments in (["--input"], ["--input", "{}", "--input={}"], ["--tenant="], ["--instance-id", "a/b"]):
        assert run_workflow(workflow, arguments) == EXIT_USAGE
        assert capsys.readouterr().err.startswith("error: --")
    monkeypatch.delenv("RUNTARA_INSTANCE_ID", raising=False)
    assert run_workflow(workflow) == EXIT_FAILED
    assert capsys.readouterr().err.startswith("error: RUNTARA_INSTANCE_ID is not set")
