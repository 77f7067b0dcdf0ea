"""Judges the inputs of starts without ever holding up the daemon.

An input and a schema come from tenants. A pattern may take exponential time, a long list of allowed values is compared
with each element, and parsed JSON takes many times the room of its text. So only what is small in every respect is
judged in the daemon, and what is not tiny in a thread, for each element that does not fit costs a message. The rest is
judged in a child process with bounds; of one tenant half of them at a time.

What cannot be judged within the bounds is started: the program judges it by the same code, within bounds of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys

from runtara_sdk.errors import ServerError

from runtara_environment.call_slots import CallSlots, NoSlotError
from runtara_environment.inputs.judgement import refusal, require_acceptable
from runtara_environment.settings import InputCheckSettings

logger = logging.getLogger(__name__)

_PROGRAM = "runtara_environment.inputs.judge_process"
_TINY_BYTES = 8 * 1024
_TINY_SCHEMA_BYTES = 32 * 1024
_SMALL_BYTES = 64 * 1024
_SMALL_COMPARISONS = 4 * 1024 * 1024
"""Characters of the schema times bytes of the input: what comparing each with each can cost at most."""
_CHUNK_BYTES = 256 * 1024
_SECONDS = 15.0
_MAX_ANSWER_BYTES = 4 * 1024 * 1024
_FINDING_MODULES = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")


class InputJudge:
    """Says whether inputs may be started with.

    Args:
        settings: how many child processes there are at a time, and the memory of each.
        seconds: bound of one.
    """

    def __init__(self, settings: InputCheckSettings | None = None, *, seconds: float = _SECONDS) -> None:
        settings = settings or InputCheckSettings()
        self._memory_bytes = settings.memory_bytes
        self._slots = CallSlots(settings.max_checks, max_waiting=128, wait_seconds=20.0)
        self._seconds = seconds

    async def require_acceptable(self, text: bytes, schema_json: str | None, tenant_id: str) -> None:
        """Refuse an input that its program could not take.

        Args:
            text: the input.
            schema_json: the input schema of the program, JSON; None when it tells none.
            tenant_id: whose start it is.

        Raises `InvalidInputError`, for what does not fit a schema `InputRefusedError`; `ServerError`, retryable, when
        too many inputs are being judged.
        """
        if _is_small(text, schema_json):
            if schema_json is None or (len(text) <= _TINY_BYTES and len(schema_json) <= _TINY_SCHEMA_BYTES):
                require_acceptable(text, schema_json)
            else:
                await asyncio.to_thread(require_acceptable, text, schema_json)
            return
        try:
            async with self._slots.slot(tenant_id):
                answer = await self._ask_process(text, schema_json)
        except NoSlotError:
            raise ServerError(
                "too many inputs are being checked: start again in a while", code="TOO_MANY_STARTS", retryable=True
            ) from None
        except OSError as error:
            raise ServerError(
                f"no process can be started to check the input: {error.strerror}",
                code="INPUT_CHECK_ERROR",
                retryable=True,
            ) from error
        try:
            misfit = json.loads(answer)["refused"]
        except (ValueError, LookupError, TypeError):
            logger.warning("an input of tenant %s could not be checked within its bounds; it is started", tenant_id)
            return
        if misfit is not None:
            raise refusal(misfit)

    async def _ask_process(self, text: bytes, schema_json: str | None) -> bytes:
        """What the process answers; nothing, or half of it, when it was killed at a bound. Raises `OSError`."""
        order = {"schema": schema_json, "memory_bytes": self._memory_bytes, "cpu_seconds": int(self._seconds) + 1}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _FINDING_MODULES if name in os.environ},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._seconds):
                await _feed(process.stdin, json.dumps(order).encode() + b"\n", text)
                answer = await _read(process.stdout)
                # A signal to a process that has ended would take its end from those who watch it.
                await process.wait()
                return answer
        except TimeoutError:
            return b""
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
                await process.wait()


def _is_small(text: bytes, schema_json: str | None) -> bool:
    if len(text) > _SMALL_BYTES:
        return False
    if schema_json is None:
        return True
    return '"pattern"' not in schema_json and len(schema_json) * len(text) <= _SMALL_COMPARISONS


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    answer = bytearray()
    while stream is not None and len(answer) < _MAX_ANSWER_BYTES and (chunk := await stream.read(_CHUNK_BYTES)):
        answer += chunk
    return bytes(answer)


async def _feed(stream: asyncio.StreamWriter | None, order: bytes, text: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(ConnectionError):  # it has ended, which its answer tells
        stream.write(order)
        view = memoryview(text)
        for start in range(0, len(view), _CHUNK_BYTES):
            stream.write(view[start : start + _CHUNK_BYTES])
            await stream.drain()
        stream.write_eof()
