"""A trial of a compiled workflow: the real program, with time that jumps and stand-ins for what lies outside.

    trial = Trial(data={"who": "Ada"}, capabilities={"http/http-request": [Answer({"ok": True})]})
    outcome = await try_workflow(workflow, trial)
    assert outcome.output == {"greeted": "Ada"}

The program is launched, suspended and launched again as an environment does it, on a store in memory. A scenario that
sleeps for three days is tried in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runtara_sdk.agents.workspace import DIRECTORY_VARIABLE
from runtara_sdk.backend import InstanceBackend
from runtara_sdk.errors import InvalidInputError
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.instance_settings import InstanceSettings
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.jumping_clock import JumpingClock
from runtara_sdk.testing.memory_store import KillPoint, MemoryStore, ProgramKilled
from runtara_sdk.testing.trial_world import Answer, RecordedCall, TrialSurroundings, TrialWorld
from runtara_sdk.workflow import Workflow
from runtara_sdk.workflow.json_text import decode_json
from runtara_sdk.workflow.program import run_instance
from runtara_sdk.written_decimal import dump_json

MAXIMUM_BARREN_LAUNCHES = 5
"""As an environment gives up a program that dies again and again before it has recorded anything."""

MAXIMUM_LAUNCHES = 1_000
LONGEST_REAL_SECONDS = 60.0
"""A trial that takes longer, in real time, is given up."""

_REQUESTED = "external_input_requested"


@dataclass(frozen=True, slots=True)
class SentSignal:
    """An answer to a WaitForSignal step.

    Attributes:
        payload: JSON.
        step_id: the step that is answered as soon as it asks, or after `after_ms` from then on.
        signal_id: the id of the signal instead, sent `after_ms` after the start of the trial.
        after_ms: milliseconds.
    """

    payload: Any
    step_id: str | None = None
    signal_id: str | None = None
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a workflow is tried with.

    Attributes:
        data: the input.
        variables: of the input.
        capabilities: `agent/capability`, or the id of a step, to the answers of its calls in order; the last one
            answers all further calls. A step's id comes first. Capabilities that are not named are really called.
        children: scenario id, or the id of a step, to the answers of a child in the same manner; children that are not
            named really run.
        connections: connection id to what the connection service answers, `{integration_id, parameters, ...}`; others
            are really fetched.
        signals: what is answered.
        instance_id: of the instance that is tried.
        kill: where the program is killed once; it is launched again at once. A call that was under way then is made
            again, and gets the same answer.
    """

    data: Any = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    capabilities: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    children: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    connections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    signals: Sequence[SentSignal] = ()
    instance_id: str = "trial"
    kill: KillPoint | None = None


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        status: of the instance; `suspended` when it waits for a signal that nothing sends.
        output: its result.
        error: its error object.
        events: `{type, ...payload}` of each custom event, in order.
        calls: the calls of capabilities, in order.
        launches: how often the program was started.
        passed_ms: time that passed for the instance, milliseconds.
        waiting_for: what a suspended instance waits for.
        store_calls: calls of the store that changed something: at each of them the program can be killed.
        repeated_calls: calls of capabilities that were made again, because the program died before it recorded them.
    """

    status: InstanceStatus
    output: Any
    error: dict[str, Any] | None
    events: tuple[dict[str, Any], ...]
    calls: tuple[RecordedCall, ...]
    launches: int
    passed_ms: int
    waiting_for: str | None = None
    store_calls: int = 0
    repeated_calls: int = 0


class ProgramLauncher(Protocol):
    """Runs the program of a trial from one launch to its end, or to its death."""

    async def launch(self, setting: LaunchSetting) -> None:
        """One launch; raises `ProgramKilled` when the program died where the trial kills it."""


@dataclass(frozen=True, slots=True)
class LaunchSetting:
    """What a launch of the program gets.

    Attributes:
        backend: its store.
        settings: who it is.
        variables: of its environment; its input is among them.
        world: what lies outside.
        clock: its time.
    """

    backend: InstanceBackend
    settings: InstanceSettings
    variables: Mapping[str, str]
    world: TrialWorld
    clock: JumpingClock


class InProcess:
    """Runs the program in this process; what kills it lets everything of it stop, and the store refuses the rest."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    async def launch(self, setting: LaunchSetting) -> None:
        """One launch; raises `ProgramKilled`."""
        sdk = RuntaraSdk(setting.settings, backend=setting.backend, clock=setting.clock)
        reader = EnvironmentReader(setting.variables)
        await run_instance(self._workflow, sdk, reader, TrialSurroundings(setting.world, setting.clock))


async def try_workflow(workflow: Workflow, trial: Trial) -> TrialOutcome:
    """Run a workflow to its end, or until it waits for what the trial does not send.

    Raises `InvalidInputError` when it does not end within `LONGEST_REAL_SECONDS` or `MAXIMUM_LAUNCHES`.
    """
    return await try_program(InProcess(workflow), trial)


async def try_program(launcher: ProgramLauncher, trial: Trial, *, clock: JumpingClock | None = None) -> TrialOutcome:
    """As `try_workflow`, with a program that `launcher` runs and that sees the time of `clock`."""
    try:
        async with asyncio.timeout(LONGEST_REAL_SECONDS):
            return await _Driver(launcher, trial, clock or JumpingClock()).drive()
    except TimeoutError:
        raise InvalidInputError(f"the trial did not end within {LONGEST_REAL_SECONDS:g} s of real time") from None


class _Driver:
    """Launches the program as often as its waits need."""

    def __init__(self, launcher: ProgramLauncher, trial: Trial, clock: JumpingClock) -> None:
        self._launcher = launcher
        self._trial = trial
        self._clock = clock
        self._began_ms = self._clock.now_ms()
        # Made by whoever uses it, which few do.
        self._workspace = Path(tempfile.gettempdir()) / f"runtara-trial-{uuid.uuid4()}"
        self._store = _ListeningStore(self._clock, trial.kill)
        self._world = TrialWorld(
            self._store, capabilities=trial.capabilities, children=trial.children, connections=trial.connections
        )
        self._due = [(self._began_ms + sent.after_ms, sent) for sent in trial.signals if sent.signal_id is not None]
        self._expected = [sent for sent in trial.signals if sent.signal_id is None]
        self._store.on_event = self._answer_request

    async def drive(self) -> TrialOutcome:
        envelope = dump_json({"data": self._trial.data, "variables": dict(self._trial.variables)})
        launches = barren = 0
        waiting_for: str | None = None
        sender = asyncio.create_task(self._send_what_is_due())
        try:
            while True:
                launches += 1
                calls = self._store.calls
                with suppress(ProgramKilled):
                    await self._launcher.launch(self._setting(envelope))
                barren = barren + 1 if self._store.calls == calls else 0
                if barren == MAXIMUM_BARREN_LAUNCHES and self._store.status is InstanceStatus.RUNNING:
                    raise InvalidInputError(f"the program ended {barren} times in a row without having done anything")
                if self._store.status is InstanceStatus.RUNNING and launches < MAXIMUM_LAUNCHES:
                    continue
                if self._store.status is not InstanceStatus.SUSPENDED:
                    break
                if launches == MAXIMUM_LAUNCHES:
                    raise InvalidInputError(f"the trial did not end within {MAXIMUM_LAUNCHES} launches")
                if not self._pass_time():
                    waiting_for = "a signal that nothing sends"
                    break
        finally:
            sender.cancel()
            self._clock.close()
            shutil.rmtree(self._workspace, ignore_errors=True)
        return self._outcome(launches, waiting_for)

    def _setting(self, envelope: str) -> LaunchSetting:
        backend = self._store.launch()
        settings = InstanceSettings(
            self._trial.instance_id,
            "trial",
            launch_epoch=self._store.epoch,
            heartbeat_interval_ms=0,
            sleep_threshold_ms=30_000,
        )
        variables = {"INPUT_JSON": envelope, DIRECTORY_VARIABLE: str(self._workspace)}
        return LaunchSetting(backend, settings, variables, self._world, self._clock)

    def _pass_time(self) -> bool:
        """Move on to what wakes a suspended instance; false when nothing does."""
        if self._store.is_woken:
            return True
        times = [time_ms for time_ms, _ in self._due]
        if self._store.wake_at_ms is not None:
            times.append(self._store.wake_at_ms)
        if not times:
            return False
        self._clock.jump_to(min(times))
        self._deliver()
        return True

    async def _send_what_is_due(self) -> None:
        """Signals that come while the program runs."""
        while True:
            if self._due:
                await self._clock.sleep(max(1, min(self._due)[0] - self._clock.now_ms()) / 1000)
                self._deliver()
            else:
                await self._store.asked.wait()
                self._store.asked.clear()

    def _deliver(self) -> None:
        now_ms = self._clock.now_ms()
        for time_ms, sent in list(self._due):
            if time_ms <= now_ms:
                self._due.remove((time_ms, sent))
                self._store.send_custom_signal(sent.signal_id or "", dump_json(sent.payload).encode())

    def _answer_request(self, event: InstanceEvent) -> None:
        if event.subtype != _REQUESTED:
            return
        request = json.loads(event.payload)
        for sent in self._expected:
            if sent.step_id == request["step_id"]:
                self._expected.remove(sent)
                known = SentSignal(sent.payload, signal_id=request["signal_id"])
                self._due.append((self._clock.now_ms() + sent.after_ms, known))
                self._store.asked.set()
                if sent.after_ms == 0:
                    self._deliver()
                return

    def _outcome(self, launches: int, waiting_for: str | None) -> TrialOutcome:
        store = self._store
        return TrialOutcome(
            store.status,
            None if store.output is None else decode_json(store.output),
            None if store.error is None else _error_object(store.error),
            tuple(_shown(event) for event in store.events if event.event_type is EventType.CUSTOM),
            tuple(self._world.calls),
            launches,
            self._clock.now_ms() - self._began_ms,
            waiting_for,
            store.calls,
            self._world.repeated_calls,
        )


class _ListeningStore(MemoryStore):
    """A store that tells of events, and knows whether a signal has come for a suspended instance."""

    def __init__(self, clock: JumpingClock, kill: KillPoint | None) -> None:
        super().__init__(clock, kill=kill)
        self.on_event: Callable[[InstanceEvent], None] = lambda _: None
        self.asked = asyncio.Event()
        self.is_woken = False

    def launch(self) -> Any:
        self.is_woken = False
        return super().launch()

    def send_custom_signal(self, signal_id: str, payload: bytes) -> None:
        self.is_woken = True
        super().send_custom_signal(signal_id, payload)

    def recorded(self, event: InstanceEvent) -> None:
        self.on_event(event)


def _error_object(text: bytes) -> dict[str, Any]:
    try:
        document = decode_json(text)
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {"message": text.decode("utf-8", "replace")}


def _shown(event: InstanceEvent) -> dict[str, Any]:
    payload = decode_json(event.payload) if event.payload else {}
    return {**(payload if isinstance(payload, dict) else {"payload": payload}), "type": event.subtype}
