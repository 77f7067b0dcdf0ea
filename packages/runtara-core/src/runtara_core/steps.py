"""Summaries of steps, and the scopes that they ran in, as programs in debug mode trace them.

A program reports `step_debug_start` and `step_debug_end` for each step, with its scope: the pass of a loop, or the
child scenario, that it belongs to. A step that contains others has a scope of its own, whose parent is where it runs
itself. Within one scope a step runs once, but is traced again whenever the program is launched again. So there is one
summary for each step and scope: a start begins it anew until the step has completed, and what is traced after that
changes nothing.

What is the same for every storage is here: how a trace is read, what becomes of a summary, and how scopes are walked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType

STEP_STARTED = "step_debug_start"
STEP_ENDED = "step_debug_end"
TRACE_SUBTYPES = (STEP_STARTED, STEP_ENDED)

MAX_TRACE_BYTES = 64 * 1024
"""Longer payloads are not read as a trace; programs shorten what they show of inputs and outputs to 10 KiB each."""

MAX_TRACE_ID_BYTES = 1_000
"""Longest id of a step or scope that is kept apart: it is part of an index."""

MAX_STEP_PAGE = 250
"""Most summaries of one page: each has the payloads of two events."""

MAX_ANCESTORS = 100
"""Most scopes that `get_scope_ancestors` gives."""

_MAX_DURATION_MS = 2**52


class StepStatus(StrEnum):
    """How far a step has come."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepSummary:
    """One step in one scope.

    Attributes:
        position: orders the steps of an instance by their first start; a key of pages.
        step_id: of the scenario.
        step_name: for people; None without one.
        step_type: such as `Agent`.
        status: running until its end is traced; failed when that says an error.
        started_at_ms: of its latest attempt, by core's clock.
        completed_at_ms: of its end, completed or failed.
        duration_ms: as the program measured it, else the difference of both times.
        inputs: JSON; None where none were traced.
        outputs: JSON; None while it runs, and when it failed.
        error: JSON; None unless it failed.
        scope_id: the scope that it is in; of a step that contains others, its own. None in the root graph.
        parent_scope_id: the scope around that one; None when it is the root graph.
    """

    position: int
    step_id: str
    step_type: str
    status: StepStatus
    started_at_ms: int
    step_name: str | None = None
    completed_at_ms: int | None = None
    duration_ms: int | None = None
    inputs: bytes | None = None
    outputs: bytes | None = None
    error: bytes | None = None
    scope_id: str | None = None
    parent_scope_id: str | None = None


@dataclass(frozen=True, slots=True)
class StepFilter:
    """Which steps of one instance to list; None means any.

    Attributes:
        status: only in this one.
        step_type: only of this one.
        scope_id: only with this scope.
        parent_scope_id: only with this one around.
        root_scopes_only: only what runs in the root graph.
        descending: the latest first; else in the order of their first start.
        after_position: only what comes behind this one in that order.
        limit: at most `MAX_STEP_PAGE` come at once.
        offset: leave out so many.
        without_total: spare counting; `total_count` is 0 then.
    """

    status: StepStatus | None = None
    step_type: str | None = None
    scope_id: str | None = None
    parent_scope_id: str | None = None
    root_scopes_only: bool = False
    descending: bool = False
    after_position: int | None = None
    limit: int = 100
    offset: int = 0
    without_total: bool = False


@dataclass(frozen=True, slots=True)
class StepPage:
    """A page of steps and the number of all that match."""

    steps: tuple[StepSummary, ...]
    total_count: int


@dataclass(frozen=True, slots=True)
class ScopeInfo:
    """A scope and the step that made it.

    Attributes:
        scope_id: of the scope.
        parent_scope_id: the scope around; None when it is the root graph.
        step_id: the step whose body or child it is.
        step_type: of that step.
        step_name: of that step, for people.
        index: which pass of a loop it is, from 0 on; None for a scope that is no pass.
        created_at_ms: when its first step was first traced.
    """

    scope_id: str
    parent_scope_id: str | None
    step_id: str
    step_type: str
    created_at_ms: int
    step_name: str | None = None
    index: int | None = None


# Reading a trace


@dataclass(frozen=True, slots=True)
class EventScope:
    """Where an event comes from: its scope, the one around, and whether it runs below the root graph."""

    scope_id: str | None = None
    parent_scope_id: str | None = None
    is_nested: bool = False


@dataclass(frozen=True, slots=True)
class StepTrace:
    """What one event says of a step."""

    step_id: str
    step_type: str
    scope: EventScope
    has_ended: bool
    has_failed: bool = False
    duration_ms: int | None = None

    @property
    def key(self) -> str:
        """Names the step within its instance, in 64 characters."""
        named = json.dumps([self.scope.scope_id, self.step_id])
        return hashlib.sha256(named.encode()).hexdigest()


_ROOT = EventScope()


def read_scope(event_type: str, payload: bytes | None) -> EventScope:
    """Where an event comes from, as its payload says; the root graph when it says nothing."""
    if event_type != EventType.CUSTOM or not payload or b'"scope_id"' not in payload[:MAX_TRACE_BYTES]:
        return _ROOT
    return _scope_of(_read_object(payload))


def read_trace(subtype: str | None, payload: bytes | None) -> StepTrace | None:
    """What an event traces of a step; None when it traces nothing that can be read."""
    if subtype not in TRACE_SUBTYPES:
        return None
    document = _read_object(payload)
    step_id, step_type = _id(document, "step_id"), _id(document, "step_type")
    if step_id is None or any(document.get(key) and _id(document, key) is None for key in _SCOPE_KEYS):
        return None
    duration_ms = document.get("duration_ms")
    return StepTrace(
        step_id=step_id,
        step_type=step_type or "",
        scope=_scope_of(document),
        has_ended=subtype == STEP_ENDED,
        has_failed=_error_of(document) is not None,
        duration_ms=duration_ms if type(duration_ms) is int and 0 <= duration_ms <= _MAX_DURATION_MS else None,
    )


_SCOPE_KEYS = ("scope_id", "parent_scope_id")


def _scope_of(document: dict[str, Any]) -> EventScope:
    scope_id, parent_scope_id = (_id(document, key) for key in _SCOPE_KEYS)
    step_id = document.get("step_id")
    around = parent_scope_id if scope_id is not None and scope_id == _own_scope(parent_scope_id, step_id) else scope_id
    return EventScope(scope_id, parent_scope_id, is_nested=around is not None)


def _own_scope(parent_scope_id: str | None, step_id: object) -> str:
    """The scope of a step that contains others, as programs name it."""
    return f"sc_{step_id}" if parent_scope_id is None else f"{parent_scope_id}_{step_id}"


def _read_object(payload: bytes | None) -> dict[str, Any]:
    if not payload or len(payload) > MAX_TRACE_BYTES:
        return {}
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _id(document: dict[str, Any], key: str) -> str | None:
    """A text that can be stored in an index; None for anything else."""
    value = document.get(key)
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    try:
        return value if len(value.encode()) <= MAX_TRACE_ID_BYTES else None
    except UnicodeEncodeError:
        return None


def _error_of(document: dict[str, Any]) -> Any:
    """The error of a traced end: beside the outputs, or in their place."""
    error = document.get("error")
    outputs = document.get("outputs")
    if error is None and isinstance(outputs, dict) and outputs.get("_error") is True:
        error = outputs.get("error")
        return error if error is not None else {key: value for key, value in outputs.items() if key != "_error"}
    return error


# What becomes of a summary


@dataclass(frozen=True, slots=True)
class StepRow:
    """What a storage keeps of a summary; the rest is in the two events.

    Attributes:
        position: id of the event of the first start.
        start_event_id: of the latest start.
        end_event_id: of the end; None while the step runs.
    """

    position: int
    step_id: str
    step_type: str
    scope: EventScope
    status: StepStatus
    start_event_id: int
    started_at_ms: int
    end_event_id: int | None = None
    completed_at_ms: int | None = None
    duration_ms: int | None = None


def after_trace(row: StepRow | None, trace: StepTrace, event_id: int, at_ms: int) -> StepRow | None:
    """The row after one more event of its step; None when that changes nothing."""
    if row is None:
        if trace.has_ended:
            return None  # its start was not sent
        return StepRow(
            event_id, trace.step_id, trace.step_type, trace.scope, StepStatus.RUNNING, event_id, started_at_ms=at_ms
        )
    if row.status is StepStatus.COMPLETED:
        return None  # the program was launched again and has found it recorded
    if not trace.has_ended:
        return StepRow(
            row.position, row.step_id, row.step_type, row.scope, StepStatus.RUNNING, event_id, started_at_ms=at_ms
        )
    if row.status is not StepStatus.RUNNING:
        return None
    measured_ms = trace.duration_ms if trace.duration_ms is not None else max(0, at_ms - row.started_at_ms)
    return replace(
        row,
        status=StepStatus.FAILED if trace.has_failed else StepStatus.COMPLETED,
        end_event_id=event_id,
        completed_at_ms=at_ms,
        duration_ms=measured_ms,
    )


def summarize(row: StepRow, start_payload: bytes | None, end_payload: bytes | None) -> StepSummary:
    """A summary with what the payloads of its two events show."""
    started, ended = _read_object(start_payload), _read_object(end_payload)
    failed = row.status is StepStatus.FAILED
    name = started.get("step_name")
    return StepSummary(
        position=row.position,
        step_id=row.step_id,
        step_name=shown_name(name),
        step_type=row.step_type,
        status=row.status,
        started_at_ms=row.started_at_ms,
        completed_at_ms=row.completed_at_ms,
        duration_ms=row.duration_ms,
        inputs=_json(started.get("inputs")),
        outputs=None if failed else _json(ended.get("outputs")),
        error=_json(_error_of(ended)) if failed else None,
        scope_id=row.scope.scope_id,
        parent_scope_id=row.scope.parent_scope_id,
    )


def shown_name(name: object) -> str | None:
    """The name of a step as it can be sent; None without one."""
    return name.encode(errors="replace").decode() if isinstance(name, str) else None


def _json(value: Any) -> bytes | None:
    return None if value is None else json.dumps(value).encode()


# Scopes


@dataclass(frozen=True, slots=True)
class ScopeEntry:
    """The step of a scope that was traced first, with the payload of its start."""

    row: StepRow
    start_payload: bytes | None


async def scope_ancestors(scope_id: str, find: Callable[[str], Awaitable[ScopeEntry | None]]) -> list[ScopeInfo]:
    """A scope and those around it, the innermost first; empty when no step of it was traced.

    `find` gives the step of a scope that was traced first: the one that made the scope, or, where the scope is the pass
    of a loop, the first step of that pass. Scopes that contain each other end the walk, as does `MAX_ANCESTORS`.
    """
    found: list[ScopeInfo] = []
    seen: set[str] = set()
    around: str | None = scope_id
    while around is not None and around not in seen and len(found) < MAX_ANCESTORS:
        seen.add(around)
        first = await find(around)
        if first is None:
            break
        made_by, index = first, None
        parent_scope_id = first.row.scope.parent_scope_id
        if around != _own_scope(parent_scope_id, first.row.step_id) and parent_scope_id is not None:
            maker = await find(parent_scope_id)
            if maker is not None:
                made_by, index = maker, _pass_of(around, parent_scope_id)
        found.append(
            ScopeInfo(
                scope_id=around,
                parent_scope_id=parent_scope_id,
                step_id=made_by.row.step_id,
                step_type=made_by.row.step_type,
                created_at_ms=first.row.started_at_ms,
                step_name=shown_name(_read_object(made_by.start_payload).get("step_name")),
                index=index,
            )
        )
        around = parent_scope_id
    return found


def _pass_of(scope_id: str, container: str) -> int | None:
    position = scope_id.removeprefix(f"{container}_")
    return int(position) if position.isascii() and position.isdecimal() and len(position) < 10 else None


def bounded_step_page(where: StepFilter) -> tuple[int, int]:
    """Limit and offset of a page of steps; negative values are refused."""
    if where.limit < 0 or where.offset < 0:
        raise InvalidInputError(f"limit {where.limit} and offset {where.offset} of a page must not be negative")
    return min(where.limit, MAX_STEP_PAGE), where.offset
