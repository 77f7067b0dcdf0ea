"""The process of a program under trial: loads it once, and forks for each launch. See `program_process`."""

from __future__ import annotations

import asyncio
import itertools
import mmap
import os
import pickle
import signal
import socket
import struct
import sys
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import ModuleType
from typing import Any

from runtara_sdk.backend import InstanceBackend
from runtara_sdk.clock import Clock
from runtara_sdk.instance import RuntaraSdk
from runtara_sdk.models import (
    ALONE,
    CallProgress,
    CheckpointResult,
    InstanceEvent,
    NewCheckpoint,
    Registration,
    RetryAttempt,
    Signal,
    SignalPoll,
    SignalWait,
    SleepOutcome,
    StatusReport,
    WaitsBeside,
)
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.testing.program_messages import pack, receive, unpack_error
from runtara_sdk.testing.program_process import TIME
from runtara_sdk.testing.trial_world import CallQuestion, capability_result, child_result
from runtara_sdk.workflow import Workflow
from runtara_sdk.workflow.connections import ConnectionRequest, checked_answer
from runtara_sdk.workflow.program import run_instance
from runtara_sdk.workflow.surroundings import CapabilityCall, ChildCall, Surroundings

_QUIET_TURNS = 30
"""Turns of the event loop without news after which the program does nothing but wait."""


def main() -> None:
    """Load the program that the trial sends, and fork when it says so, until it is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    memory = mmap.mmap(int(sys.argv[2]), TIME.size)
    (length,) = struct.unpack("!I", control.recv(4, socket.MSG_WAITALL))
    program = pickle.loads(control.recv(length, socket.MSG_WAITALL))
    module = ModuleType("runtara_trial")
    exec(compile(program["source"], f"<{program['origin']}>", "exec"), module.__dict__)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the processes of the program
    control.sendall(b"+")
    while True:
        word, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not word:
            return
        if os.fork() == 0:
            control.close()
            code = 1
            try:
                code = asyncio.run(_launch(module.workflow, descriptors[0], memory))
            finally:
                os._exit(code)
        os.close(descriptors[0])


async def _launch(workflow: Workflow, descriptor: int, memory: mmap.mmap) -> int:
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor))
    trial = _TrialConnection(reader, writer)
    trial.send(("hello", os.getpid()))
    settings, variables = await trial.settings
    clock = _TrialClock(trial, memory)
    sdk = RuntaraSdk(settings, backend=_TrialBackend(trial), clock=clock)
    try:
        code = await run_instance(workflow, sdk, EnvironmentReader(variables), _AskingSurroundings(trial, clock))
    except Exception as error:  # noqa: BLE001 - told to the trial, which fails by it
        trial.send(("crashed", f"{type(error).__name__}: {error}"))
        code = 1
    await writer.drain()
    return code


class _TrialConnection:
    """Asks the trial, and tells it when the program does nothing but wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._received = 0
        self._news = asyncio.Event()
        self._turns = 0
        self._at_work = 0
        self.settings: asyncio.Future[tuple[Any, dict[str, str]]] = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._tell_rest())]

    def send(self, message: tuple[Any, ...]) -> None:
        self._heard()
        self._writer.write(pack(message))

    async def ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What the trial answers; raises what it refuses with."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send(("ask", number, name, arguments, options))
        try:
            return await answer
        except asyncio.CancelledError:
            self.send(("give up", number))
            raise
        finally:
            self._waiting.pop(number, None)

    @contextmanager
    def work(self) -> Iterator[None]:
        """The program is at work during the block, even if its event loop is not."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            self._heard()

    @contextmanager
    def rest(self) -> Iterator[None]:
        """The work that surrounds the block waits for its end."""
        self._at_work -= 1
        self._heard()
        try:
            yield
        finally:
            self._at_work += 1

    def _heard(self) -> None:
        self._turns = 0
        self._news.set()

    async def _listen(self) -> None:
        while (message := await receive(self._reader)) is not None:
            self._received += 1
            self._heard()
            match message:
                case ("settings", settings, variables):
                    self.settings.set_result((settings, variables))
                case ("answer", number, value) if number in self._waiting and not self._waiting[number].done():
                    self._waiting[number].set_result(value)
                case ("refusal", number, error) if number in self._waiting and not self._waiting[number].done():
                    self._waiting[number].set_exception(unpack_error(error))
        os._exit(1)  # the trial is over

    async def _tell_rest(self) -> None:
        while True:
            await self._news.wait()
            while self._turns < _QUIET_TURNS and not self._at_work:
                self._turns += 1
                await asyncio.sleep(0)
            self._news.clear()
            if not self._at_work:  # else its end is news
                self._writer.write(pack(("idle", self._received)))


class _TrialClock(Clock):
    def __init__(self, trial: _TrialConnection, memory: mmap.mmap) -> None:
        self._trial = trial
        self._memory = memory

    def now_ms(self) -> int:
        (now_ms,) = TIME.unpack(self._memory[: TIME.size])
        return int(now_ms)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            await self._trial.ask("clock.sleep", seconds)


class _AskingSurroundings(Surroundings):
    """The surroundings of a trial, as `TrialSurroundings`."""

    stops_at_breakpoints = False

    def __init__(self, trial: _TrialConnection, clock: Clock) -> None:
        super().__init__(clock)
        self._trial = trial

    def complain(self, message: str) -> None:
        """Nothing: the outcome tells."""

    async def invoke(self, call: CapabilityCall) -> Any:
        answer = await self._trial.ask("world.call", CallQuestion.of(call))
        if answer is not None:
            return capability_result(answer)
        return await self._really(super().invoke(call))

    async def connection(self, request: ConnectionRequest) -> dict[str, Any]:
        answer = await self._trial.ask("world.connection", request.connection_id)
        if answer is not None:
            return checked_answer(request, answer)
        fetched: dict[str, Any] = await self._really(super().connection(request))
        return fetched

    async def run_child(self, call: ChildCall) -> Any:
        answer = await self._trial.ask("world.child", call.child_id, call.step_id, call.base)
        return await super().run_child(call) if answer is None else child_result(answer)

    def waiting(self) -> AbstractContextManager[None]:
        return self._trial.rest()

    async def _really(self, work: Awaitable[Any]) -> Any:
        with self._trial.work():
            return await work


class _TrialBackend(InstanceBackend):
    """The store of the trial, verb by verb."""

    def __init__(self, trial: _TrialConnection) -> None:
        self._trial = trial

    @property
    def can_suspend(self) -> bool:
        return True

    async def connect(self) -> None:
        """The connection is there."""

    async def close(self) -> None:
        """Nothing to release."""

    async def register(self, checkpoint_id: str | None) -> Registration:
        registration: Registration = await self._trial.ask("store.register", checkpoint_id)
        return registration

    async def checkpoint(self, checkpoint_id: str, state: bytes, *, call_key: bytes = b"") -> CheckpointResult:
        result: CheckpointResult = await self._trial.ask("store.checkpoint", checkpoint_id, state, call_key=call_key)
        return result

    async def checkpoints(self, new: Sequence[NewCheckpoint]) -> list[CheckpointResult]:
        results: list[CheckpointResult] = await self._trial.ask("store.checkpoints", list(new))
        return results

    async def get_checkpoint(self, checkpoint_id: str) -> bytes | None:
        state: bytes | None = await self._trial.ask("store.get_checkpoint", checkpoint_id)
        return state

    async def get_progress(self, checkpoint_id: str) -> CallProgress:
        progress: CallProgress = await self._trial.ask("store.get_progress", checkpoint_id)
        return progress

    async def sleep(
        self, checkpoint_id: str, duration_ms: int, state: bytes, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        outcome: SleepOutcome = await self._trial.ask(
            "store.sleep", checkpoint_id, duration_ms, state, suspend_above_ms=suspend_above_ms
        )
        return outcome

    async def report_event(self, event: InstanceEvent) -> None:
        await self._trial.ask("store.report_event", event)

    async def poll_signals(
        self, checkpoint_id: str | None, *, wait_ms: int = 0, known_signal_id: int = 0
    ) -> SignalPoll:
        poll: SignalPoll = await self._trial.ask(
            "store.poll_signals", checkpoint_id, wait_ms=wait_ms, known_signal_id=known_signal_id
        )
        return poll

    async def acknowledge_signal(self, signal: Signal) -> None:
        await self._trial.ask("store.acknowledge_signal", signal)

    async def record_retry_attempt(
        self, checkpoint_id: str, attempt: RetryAttempt, *, suspend_above_ms: int | None
    ) -> SleepOutcome:
        outcome: SleepOutcome = await self._trial.ask(
            "store.record_retry_attempt", checkpoint_id, attempt, suspend_above_ms=suspend_above_ms
        )
        return outcome

    async def wait_signal(
        self,
        checkpoint_id: str,
        timeout_ms: int | None,
        *,
        suspend_above_ms: int | None,
        beside: WaitsBeside = ALONE,
    ) -> SignalWait:
        wait: SignalWait = await self._trial.ask(
            "store.wait_signal", checkpoint_id, timeout_ms, suspend_above_ms=suspend_above_ms, beside=beside
        )
        return wait

    async def get_instance_status(self, instance_id: str) -> StatusReport:
        report: StatusReport = await self._trial.ask("store.get_instance_status", instance_id)
        return report


if __name__ == "__main__":
    main()
