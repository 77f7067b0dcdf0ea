"""Calls of capabilities in a child process each, as a plain process of the daemon's user.

It gets a directory of its own for its files, which is removed afterwards, and none of the daemon's variables but those
that say which agents there are and what they may use. It isolates no more than the native runner does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import stat
import time
import uuid
from pathlib import Path
from typing import Any

from runtara_sdk.agent_process.messages import CALL, RESULT_TOO_LARGE, CallOrder
from runtara_sdk.redaction import REPLACEMENT, redact_text
from runtara_sdk.written_decimal import dump_json, read_decimal

from runtara_environment.agents.agent_process import ProcessEnd, ProcessReport, run_agent_process
from runtara_environment.agents.capability_host import CapabilityCall, CapabilityHost, CapabilityOutcome
from runtara_environment.agents.process_environment import process_environment
from runtara_environment.supervision.guest_network import GuestNetwork

MAX_RESULT_BYTES = 8 * 1024 * 1024
"""Largest result of a test, as JSON; one of a workflow may be larger."""

TIMEOUT = "TIMEOUT"
PROCESS_ENDED = "CAPABILITY_CRASHED"

_GRACE_MS = 500
"""Beyond its time, for the capability's own word about it."""

_ERROR_CHARACTERS = 1_000
_SHORTEST_SECRET = 4


class ChildProcessHost(CapabilityHost):
    """Makes each call in a child process.

    Args:
        directory: where the directories of calls are made.
        network: what calls may reach.
    """

    def __init__(self, directory: Path, network: GuestNetwork) -> None:
        self._directory = directory
        self._network = network

    async def sweep(self) -> None:
        """Remove what an earlier daemon that was killed has left."""
        await asyncio.to_thread(_remove, self._directory)

    async def call(self, call: CapabilityCall) -> CapabilityOutcome:
        """As of any place."""
        began = time.monotonic()
        directory = self._directory / uuid.uuid4().hex
        try:
            await asyncio.to_thread(self._make, directory)
            report = await self._run(call, directory)
        finally:
            # Seen through also when the caller is gone: files of a call are nobody's afterwards.
            await asyncio.shield(asyncio.to_thread(_remove, directory))
        return _outcome(call, report, round((time.monotonic() - began) * 1000))

    async def _run(self, call: CapabilityCall, directory: Path) -> ProcessReport:
        order = CallOrder(
            module=call.capability.module,
            attribute=call.capability.attribute,
            capability_id=call.capability.capability_id,
            deadline_ms=round(time.time() * 1000) + call.timeout_ms,
            max_result_bytes=MAX_RESULT_BYTES,
            inputs=call.input_json,
            connection=call.connection_json,
        )
        return await run_agent_process(
            CALL,
            order=order.encode(),
            environment=process_environment(directory, await self._network.variables()),
            directory=directory,
            timeout_seconds=(call.timeout_ms + _GRACE_MS) / 1000,
            max_answer_bytes=MAX_RESULT_BYTES + 1,  # the end of the line
        )

    def _make(self, directory: Path) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.mkdir(mode=0o700)


def _outcome(call: CapabilityCall, report: ProcessReport, took_ms: int) -> CapabilityOutcome:
    place = f"{call.capability.agent_id}:{call.capability.capability_id}"
    if report.end is ProcessEnd.SAID_TOO_MUCH:
        text = f"{place}: the answer has more than {MAX_RESULT_BYTES} bytes, the most that a test gives back"
        return CapabilityOutcome.failure(RESULT_TOO_LARGE, text, execution_time_ms=took_ms)
    answer = _answer(report)
    if answer is not None:
        if answer["success"]:
            output = dump_json(answer["output"], ensure_ascii=False).encode("utf-8", "backslashreplace")
            return CapabilityOutcome(output_json=output, execution_time_ms=took_ms)
        return CapabilityOutcome(error=answer["error"], execution_time_ms=took_ms)
    if report.end is ProcessEnd.TIME_OVER:
        text = f"{place} did not end within {call.timeout_ms} ms, and its process was killed"
        return CapabilityOutcome.failure(TIMEOUT, text, may_pass=True, execution_time_ms=took_ms)
    last = _without_secrets(report.errors.rpartition("\n")[2].strip(), call.connection_json)[:_ERROR_CHARACTERS]
    text = f"{place}: its process {report.describe_exit()} and gave no result" + (f"; it said: {last}" if last else "")
    return CapabilityOutcome.failure(PROCESS_ENDED, text, execution_time_ms=took_ms)


def _without_secrets(text: str, connection_json: bytes | None) -> str:
    """What a program said, without the texts of its connection, which are not told apart into secrets and others."""
    pending: list[Any] = [json.loads(connection_json)] if connection_json is not None else []
    values: set[str] = set()
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list):
            pending.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, str) and len(value) >= _SHORTEST_SECRET:
            values.add(value)
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, REPLACEMENT)
    return redact_text(text)


def _answer(report: ProcessReport) -> dict[str, Any] | None:
    """`{success, output or error}`, or None when the process ended before it had said all of it."""
    try:
        document = json.loads(report.lines[-1], parse_float=read_decimal) if report.lines else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("success"), bool):
        return None
    return document if document["success"] or isinstance(document.get("error"), dict) else None


def _remove(directory: Path) -> None:
    """Remove a directory, also where a program has taken the right to look into its directories from its user."""
    shutil.rmtree(directory, ignore_errors=True)
    if not directory.is_dir():
        return
    with contextlib.suppress(OSError):
        directory.chmod(stat.S_IRWXU)
        for root, names, _ in os.walk(directory):
            for path in (Path(root, name) for name in names):
                if not path.is_symlink():
                    path.chmod(stat.S_IRWXU)
    shutil.rmtree(directory, ignore_errors=True)
