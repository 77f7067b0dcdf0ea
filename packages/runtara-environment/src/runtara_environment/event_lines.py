"""What `runtara run` says of the events of an instance, one line for each that concerns its user.

Programs may report events of any name and payload, so nothing is expected of them.
"""

from __future__ import annotations

import json
from typing import Any

from runtara_core.models import EventRecord
from runtara_core.retry_events import RETRY_ATTEMPT_SUBTYPE

_LOG_SUBTYPE = "workflow_log"
_SHOWN_CHARACTERS = 200


def event_line(event: EventRecord, *, since_ms: int) -> str | None:
    """The line for an event; None when there is nothing to say.

    Args:
        event: of the instance that is followed.
        since_ms: when following began. An attempt announced before and due before is over.
    """
    if event.subtype == _LOG_SUBTYPE:
        return _log_line(_read_object(event.payload))
    if event.subtype == RETRY_ATTEMPT_SUBTYPE:
        return _retry_line(event, _read_object(event.payload), since_ms)
    return None


def _log_line(record: dict[str, Any]) -> str:
    if "level" not in record or "message" not in record:
        return "[log] a message that is not readable"
    return f"[{record['level']}] {record['message']}"


def _retry_line(event: EventRecord, record: dict[str, Any], since_ms: int) -> str | None:
    number, due_at_ms = _integer(record, "attempt_number"), _integer(record, "next_attempt_at_ms")
    if number is None or due_at_ms is None:
        return None
    if event.created_at_ms < since_ms and due_at_ms <= since_ms:
        return None
    wait_ms = max(0, due_at_ms - max(event.created_at_ms, since_ms))
    name, error = event.checkpoint_id or "a call", record.get("error")
    if isinstance(error, str):
        failure = _read_object(error.encode(errors="replace"))
        name = failure.get("stepName") or failure.get("stepId") or name
        error = failure.get("message") or error
    last = _integer(record, "max_attempts")
    of_all = "" if last is None else f" of {last}"
    when = f"in {round(wait_ms / 1000, 1 if wait_ms > 1000 else 3):g} s" if wait_ms else "now"
    cause = f" ({_one_line(error)})" if error else ""
    return f"{_one_line(name)}: attempt {number}{of_all} {when}{cause}"


def _read_object(payload: bytes | None) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    try:
        document = json.loads(payload or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _integer(record: dict[str, Any], key: str) -> int | None:
    value = record.get(key)
    return value if type(value) is int and 0 <= value < 2**53 else None


def _one_line(value: Any) -> str:
    text = " ".join(str(value).split())
    text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
