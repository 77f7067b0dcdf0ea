"""What the end of a call's process means: the result, the capability's own error, or how the process failed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from runtara_sdk.agent_process.messages import RESULT_TOO_LARGE
from runtara_sdk.redaction import REPLACEMENT, redact_text
from runtara_sdk.written_decimal import dump_json, read_decimal

from runtara_environment.agents.agent_process import describe_exit
from runtara_environment.agents.capability_host import CapabilityCall, CapabilityOutcome
from runtara_environment.runner import MEBIBYTE, ProcessExit

MAX_RESULT_BYTES = 8 * MEBIBYTE
"""Largest result of a test, as JSON; one of a workflow may be larger."""

TIMEOUT = "TIMEOUT"
PROCESS_ENDED = "CAPABILITY_CRASHED"

_ERROR_CHARACTERS = 1_000
_SHORTEST_SECRET = 4


@dataclass(frozen=True, slots=True)
class CallEnd:
    """What is known of a process that made a call.

    Attributes:
        exit: how it ended.
        is_late: its time was over, and it was killed.
        answer: what it answered, cut one byte beyond the bound; None when it did not.
        errors: the end of what it wrote to standard error.
        has_taken_order: whether it has read all of its order.
        memory_bytes: the bound of its memory; None when there is none.
    """

    exit: ProcessExit
    is_late: bool
    answer: bytes | None
    errors: str
    has_taken_order: bool = True
    memory_bytes: int | None = None


def outcome_of(call: CapabilityCall, end: CallEnd, took_ms: int) -> CapabilityOutcome:
    """The outcome of a call that took `took_ms`; secrets of the connection are in none of its texts."""
    place = f"{call.capability.agent_id}:{call.capability.capability_id}"
    if end.answer is not None and len(end.answer) > MAX_RESULT_BYTES + 1:  # one for the line end
        text = f"{place}: the answer has more than {MAX_RESULT_BYTES} bytes, the most that a test gives back"
        return CapabilityOutcome.failure(RESULT_TOO_LARGE, text, execution_time_ms=took_ms)
    answer = _answer(end.answer)
    if answer is not None:
        if answer["success"]:
            output = dump_json(answer["output"], ensure_ascii=False).encode("utf-8", "backslashreplace")
            return CapabilityOutcome(output_json=output, execution_time_ms=took_ms)
        return CapabilityOutcome(error=answer["error"], execution_time_ms=took_ms)
    if end.is_late:
        text = f"{place} did not end within {call.timeout_ms} ms, and its process was killed"
        if not end.has_taken_order:
            text += ", which had not read what to call"
        return CapabilityOutcome.failure(TIMEOUT, text, may_pass=True, execution_time_ms=took_ms)
    last = _without_secrets(end.errors.strip().rpartition("\n")[2].strip(), call.connection_json)[:_ERROR_CHARACTERS]
    text = f"{place}: its process {_described(end)} and gave no result" + (f"; it said: {last}" if last else "")
    return CapabilityOutcome.failure(PROCESS_ENDED, text, execution_time_ms=took_ms)


def _described(end: CallEnd) -> str:
    if end.exit.out_of_memory:
        return "needed more memory than it may have" + (
            "" if end.memory_bytes is None else f" ({end.memory_bytes // MEBIBYTE} MiB)"
        )
    return "ended in a way that nobody saw" if end.exit.exit_code is None else describe_exit(end.exit.exit_code)


def _answer(content: bytes | None) -> dict[str, Any] | None:
    """`{success, output or error}`, or None when the process ended before it had said all of it."""
    try:
        document = json.loads(content, parse_float=read_decimal) if content else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("success"), bool):
        return None
    if document["success"]:
        return document if "output" in document else None
    return document if isinstance(document.get("error"), dict) else None


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
