"""Build tools as subprocesses: output into a file, a deadline, and no survivor when the build is cancelled."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runtara_compiler.native.library import NativeBuildError

_REAP_SECONDS = 10.0
_TAIL_BYTES = 65_536
_MESSAGE_CHARACTERS = 300
_DISK_FULL = "No space left on device"


async def run_tool(
    command: Sequence[str],
    *,
    what: str,
    directory: Path,
    variables: Mapping[str, str],
    log: Path,
    deadline_seconds: float,
    on_tick: Callable[[float], None] | None = None,
    tick_seconds: float = 5.0,
) -> None:
    """Run `command` to its end in a process group of its own; `on_tick` gets the seconds elapsed now and then.

    Raises `NativeBuildError` when it cannot be started, fails or overruns its deadline. The whole group is killed when
    the deadline passes or the caller is cancelled.
    """
    started = time.monotonic()
    with log.open("wb") as output:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=directory,
                env=dict(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            reason = error.strerror or errno.errorcode.get(error.errno or 0, "unknown error")
            raise NativeBuildError(f"{what} cannot be started: {command[0]}: {reason}") from error
        try:
            async with asyncio.timeout(deadline_seconds):
                await _wait(process, started, on_tick, tick_seconds)
        except TimeoutError:
            raise NativeBuildError(
                f"{what} did not finish within {deadline_seconds:.0f} seconds: try again on a less busy machine"
            ) from None
        finally:
            await _end_group(process)
    if process.returncode != 0:
        raise NativeBuildError(_failure(what, process.returncode, log))


async def _wait(
    process: asyncio.subprocess.Process,
    started: float,
    on_tick: Callable[[float], None] | None,
    tick_seconds: float,
) -> None:
    waiter = asyncio.create_task(process.wait())
    try:
        while not (await asyncio.wait({waiter}, timeout=tick_seconds))[0]:
            if on_tick is not None:
                on_tick(time.monotonic() - started)
    finally:
        waiter.cancel()


async def _end_group(process: asyncio.subprocess.Process) -> None:
    # Also after a normal end: a compiler started in the background must not outlive its build.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(_REAP_SECONDS):
            await process.wait()


def _failure(what: str, status: int | None, log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()
    if any(_DISK_FULL in line for line in lines):
        return f"{what} failed: no space left on the device of {log.parent}: free about 1 GB and try again"
    telling = [line.strip() for line in lines if "error" in line.lower() or line.startswith("FATAL")]
    reason = (telling or [line.strip() for line in lines if line.strip()] or ["it printed nothing"])[-1]
    return f"{what} failed (exit status {status}): {reason[:_MESSAGE_CHARACTERS]}"
