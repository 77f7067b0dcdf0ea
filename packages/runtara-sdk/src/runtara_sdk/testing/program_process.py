"""Trials of a program in a process of its own, which SIGKILL ends where the trial says so.

Store, time and the world outside are with the trial; the program asks for them over a socket. A process that has loaded
the program waits, and forks for each launch: to launch anew takes milliseconds.

Time jumps as in other trials, but not before the program has said that it does nothing but wait.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.testing.jumping_clock import JumpingClock
from runtara_sdk.testing.memory_store import ProgramKilled
from runtara_sdk.testing.program_messages import pack, pack_error, receive
from runtara_sdk.testing.trial import LaunchSetting
from runtara_sdk.testing.trial_world import TrialWorld

TIME = struct.Struct("!q")
"""How the time, milliseconds since the Unix epoch, lies in the memory that trial and program share."""

_START_SECONDS = 60.0
_END_SECONDS = 10.0


class SharedClock(JumpingClock):
    """A clock whose time the program reads from shared memory."""

    def __init__(self, memory: mmap.mmap) -> None:
        super().__init__()
        self._memory = memory
        self._write()

    def jump_to(self, time_ms: int) -> None:
        super().jump_to(time_ms)
        self._write()  # whom it wakes runs later

    def _write(self) -> None:
        self._memory[: TIME.size] = TIME.pack(self.now_ms())


class ProgramProcesses:
    """Launches a generated program again and again; `async with` starts and stops what it forks from.

    Args:
        source: the generated module.
        origin: what it was made of, for messages.
    """

    def __init__(self, source: str, origin: str) -> None:
        self._program = {"source": source, "origin": origin}
        self._ended = ExitStack()
        self._control: socket.socket | None = None
        self._memory: mmap.mmap | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._start)
        return self

    def _start(self) -> None:
        with ExitStack() as stack:
            shared = stack.enter_context(tempfile.TemporaryFile())
            shared.truncate(TIME.size)
            self._memory = mmap.mmap(shared.fileno(), TIME.size)
            ours, theirs = socket.socketpair()
            stack.callback(ours.close)
            with theirs:
                arguments = [str(theirs.fileno()), str(shared.fileno())]
                command = [sys.executable, "-m", "runtara_sdk.testing.program_child", *arguments]
                mother = subprocess.Popen(command, pass_fds=(theirs.fileno(), shared.fileno()))
            stack.callback(mother.wait, _END_SECONDS)
            stack.callback(mother.kill)
            ours.settimeout(_START_SECONDS)
            content = pickle.dumps(self._program)
            ours.sendall(struct.pack("!I", len(content)) + content)
            if ours.recv(1) != b"+":
                raise InvalidInputError("the program could not be loaded into a process of its own")
            self._control = ours
            self._ended = stack.pop_all()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.close()

    def clock(self) -> SharedClock:
        """The clock of one trial."""
        if self._memory is None:
            raise RuntimeError("use `async with`")
        return SharedClock(self._memory)

    async def launch(self, setting: LaunchSetting) -> None:
        """One launch; raises `ProgramKilled` when the program was killed, `InvalidInputError` when it crashed."""
        if self._control is None:
            raise RuntimeError("use `async with`")
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [b"L"], [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            await _Launch(setting, reader, writer).serve()
        finally:
            writer.close()


class _Launch:
    """Serves one process of the program until it is gone."""

    def __init__(self, setting: LaunchSetting, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._setting = setting
        self._reader = reader
        self._writer = writer
        self._questions: dict[int, asyncio.Task[None]] = {}
        self._sent = 0
        self._at_work = ExitStack()
        self._is_at_work = False
        self._process_id = 0
        self._was_killed = False

    async def serve(self) -> None:
        self._goes_to_work()
        try:
            self._send(("settings", self._setting.settings, dict(self._setting.variables)))
            while (message := await receive(self._reader)) is not None:
                self._hear(message)
            self._process_id = 0  # gone; its number may be another's by now
        finally:
            for question in self._questions.values():
                question.cancel()
            self._at_work.close()
            self._kill()
        if self._was_killed:
            raise ProgramKilled

    def _hear(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("hello", int(process_id)):
                self._process_id = process_id
            case ("ask", int(number), str(name), tuple(arguments), dict(options)):
                self._questions[number] = asyncio.ensure_future(self._answer(number, name, arguments, options))
            case ("give up", int(number)):
                if (question := self._questions.pop(number, None)) is not None:
                    question.cancel()
            case ("idle", int(received)):
                if received == self._sent and not self._was_killed:
                    self._rests()
            case ("crashed", str(text)):
                raise InvalidInputError(f"the program crashed: {text}")

    async def _answer(self, number: int, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        try:
            value = await self._ask(name, arguments, options)
        except ProgramKilled:
            self._was_killed = True
            self._kill()
            return
        except Exception as error:  # noqa: BLE001 - the program's own, whatever it is
            self._send(("refusal", number, pack_error(error)))
        else:
            self._send(("answer", number, value))
        self._questions.pop(number, None)

    async def _ask(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        setting, (place, _, verb) = self._setting, name.partition(".")
        if place == "clock":
            return await setting.clock.sleep(*arguments)
        if place == "world":
            world: TrialWorld = setting.world
            return getattr(world, verb)(*arguments)
        return await getattr(setting.backend, verb)(*arguments, **options)

    def _send(self, message: tuple[Any, ...]) -> None:
        self._goes_to_work()
        self._sent += 1
        if not self._writer.is_closing():
            self._writer.write(pack(message))

    def _goes_to_work(self) -> None:
        if not self._is_at_work:
            self._is_at_work = True
            self._at_work.enter_context(self._setting.clock.real_work())

    def _rests(self) -> None:
        self._is_at_work = False
        self._at_work.close()

    def _kill(self) -> None:
        if self._process_id:
            with suppress(ProcessLookupError):
                os.kill(self._process_id, signal.SIGKILL)
