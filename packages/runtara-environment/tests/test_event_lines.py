"""The lines of `runtara run` about events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runtara_core.models import EventRecord
from runtara_core.retry_events import retry_attempt_event
from runtara_environment.event_lines import event_line
from runtara_sdk.models import RetryAttempt

START_MS = 1_750_000_000_000
KEY = "orders::o-1::agent::http::request::charge"
FAILURE = {"code": "HTTP_ERROR", "message": "HTTP 503: busy", "stepId": "charge", "stepName": "Charge the card"}


def line_of(payload: object, *, subtype: str = "retry_attempt", since_ms: int = START_MS) -> str | None:
    encoded = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    event = EventRecord(7, "o-1", "custom", START_MS + 10, KEY, subtype, encoded)
    return event_line(event, since_ms=since_ms)


def retry_line(
    error: str | None = "OSError: busy", *, wait_ms: int = 1_500, since_ms: int = START_MS, **attempt: Any
) -> str | None:
    made = RetryAttempt(2, error, wait_ms, **attempt)
    return line_of(retry_attempt_event(KEY, made, START_MS + 10 + wait_ms).payload, since_ms=since_ms)


def test_an_attempt_names_its_step_its_wait_and_the_failure_before() -> None:
    line = retry_line(json.dumps(FAILURE), max_attempts=4)
    assert line == "Charge the card: attempt 2 of 4 in 1.5 s (HTTP 503: busy)"
    assert retry_line(json.dumps(FAILURE | {"stepName": None}), max_attempts=4) == (
        "charge: attempt 2 of 4 in 1.5 s (HTTP 503: busy)"
    )


def test_an_attempt_of_a_function_has_its_key() -> None:
    assert retry_line() == f"{KEY}: attempt 2 in 1.5 s (OSError: busy)"
    assert retry_line(None, wait_ms=0) == f"{KEY}: attempt 2 now"
    assert retry_line("[1]", wait_ms=3_600_000) == f"{KEY}: attempt 2 in 3600 s ([1])"


def test_a_failure_is_one_short_line_without_commands_to_the_terminal() -> None:
    line = retry_line(f"one\n\ttwo \x1b[31mred {'x' * 300}")
    assert line is not None
    assert "(one two \N{REPLACEMENT CHARACTER}[31mred xx" in line
    assert line.endswith("x...)")
    assert len(line) < 300


def test_of_attempts_before_the_command_only_one_that_is_due_later_is_told() -> None:
    assert retry_line(since_ms=START_MS + 10 + 1_500) is None
    line = retry_line(since_ms=START_MS + 10 + 1_000)
    assert line is not None
    assert "in 0.5 s" in line


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        [1],
        {"attempt_number": "2", "next_attempt_at_ms": START_MS},
        {"attempt_number": 2, "next_attempt_at_ms": True},
        {"attempt_number": 2, "next_attempt_at_ms": 10**400},
    ],
    ids=["empty", "bytes", "deep", "list", "text", "bool", "huge"],
)
def test_what_a_program_made_up_is_no_attempt(payload: object) -> None:
    assert line_of(payload) is None


def test_a_log_line_has_its_level() -> None:
    assert line_of({"level": "warn", "message": "low"}, subtype="workflow_log") == "[warn] low"
    for broken in (b"", b"[" * 100_000, {"level": "warn"}):
        assert line_of(broken, subtype="workflow_log") == "[log] a message that is not readable"


def test_other_events_are_passed_over() -> None:
    assert line_of(FAILURE, subtype="step_debug_end") is None
