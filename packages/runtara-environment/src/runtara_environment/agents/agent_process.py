"""A child process that lists agents: started, fed, bounded in time and in what it says, and killed.

It leads a session of its own. Its whole process group is killed when it has answered, when its time is over, and when
whoever waits for it is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from runtara_sdk.agent_process.messages import PROGRAM

from runtara_environment.runners.process_identity import ProcessIdentity

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024
_REAP_SECONDS = 10.0


class ProcessEnd(StrEnum):
    """Why a process ended."""

    EXITED = "exited"
    TIME_OVER = "time_over"
    SAID_TOO_MUCH = "said_too_much"


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """What is known of a process that has ended.

    Attributes:
        end: whether it ended by itself; otherwise it was killed.
        lines: what it answered, without line ends.
        exit_code: negative for the number of a signal; None when it was killed by this module.
        errors: the end of what it wrote to standard error.
    """

    end: ProcessEnd
    lines: tuple[bytes, ...]
    exit_code: int | None
    errors: str

    def describe_exit(self) -> str:
        """How it ended by itself, for people."""
        return describe_exit(self.exit_code or 0)


def describe_exit(exit_code: int) -> str:
    """How a process with an exit code ended, for people; a negative one is the number of a signal."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


class _TooMuchError(Exception):
    """The process says more than it may."""


async def run_agent_process(
    command: str,
    *,
    order: bytes,
    environment: Mapping[str, str],
    directory: Path,
    timeout_seconds: float,
    max_answer_bytes: int,
) -> ProcessReport:
    """Run the program of `runtara_sdk.agent_process` to its end.

    Args:
        command: what that program is asked to do.
        order: what it reads on standard input, which stays open until it has ended.
        environment: all of its variables.
        directory: its working directory.
        timeout_seconds: bound of its life.
        max_answer_bytes: bound of its answer.

    Raises `OSError` when it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        PROGRAM,
        command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env=dict(environment),
        start_new_session=True,
    )
    identity = ProcessIdentity.of_pid(process.pid)
    errors = _Tail(process.stderr)
    feeding = asyncio.create_task(_feed(process.stdin, order), name=f"order of process {process.pid}")
    answer = bytearray()
    end, exit_code = ProcessEnd.EXITED, None
    try:
        async with asyncio.timeout(timeout_seconds):
            await _read(process.stdout, answer, max_answer_bytes)
            exit_code = await process.wait()
    except TimeoutError:
        end = ProcessEnd.TIME_OVER
    except _TooMuchError:
        end = ProcessEnd.SAID_TOO_MUCH
    finally:
        _kill_group(process.pid, identity)
        feeding.cancel()
        try:
            async with asyncio.timeout(_REAP_SECONDS):
                await process.wait()
        except TimeoutError:
            logger.warning("process %d does not die: see `ps %d`", process.pid, process.pid)
        await errors.close()
        await asyncio.gather(feeding, return_exceptions=True)
        if process.stdin is not None:
            process.stdin.close()
    return ProcessReport(end, tuple(bytes(answer).splitlines()), exit_code, errors.text())


class _Tail:
    """Reads a stream as fast as it comes, and keeps its end."""

    def __init__(self, stream: asyncio.StreamReader | None) -> None:
        self._kept = b""
        self._reading = asyncio.create_task(self._read(stream), name="errors of an agent process")

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
            self._kept = (self._kept + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        """The end of what was read."""
        return self._kept.decode(errors="replace").strip()

    async def close(self) -> None:
        """Read what is there already, and stop: a process that got away may keep its end open for ever."""
        await asyncio.wait({self._reading}, timeout=0.2)
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


async def _feed(stream: asyncio.StreamWriter | None, order: bytes) -> None:
    if stream is not None:
        with contextlib.suppress(ConnectionError):  # it has ended, which its exit tells
            stream.write(order)
            await stream.drain()


async def _read(stream: asyncio.StreamReader | None, answer: bytearray, most: int) -> None:
    while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
        answer += chunk
        if len(answer) > most:
            raise _TooMuchError


def _kill_group(pid: int, identity: ProcessIdentity | None) -> None:
    """Kill a process and what it has started, which outlives it in the group that has its number.

    A number that belongs to another process by now tells that the group is empty.
    """
    leader = ProcessIdentity.of_pid(pid)
    if leader is None or leader == identity:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
