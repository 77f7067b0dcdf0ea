"""Steps and scopes found by reading events: what a storage gives that keeps no rows of steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType

from runtara_core.models import EventFilter, EventPage
from runtara_core.steps import (
    ScopeEntry,
    ScopeInfo,
    StepFilter,
    StepPage,
    StepRow,
    after_trace,
    bounded_step_page,
    read_trace,
    scope_ancestors,
    summarize,
)

MAX_TRACED_EVENTS = 20_000
"""Most custom events of an instance that are read for its steps."""

_PAGE = 500

ListEvents = Callable[[str, EventFilter], Awaitable[EventPage]]


class _Traced:
    """The rows of an instance, in the order of their first start, and the payloads of their events."""

    def __init__(self) -> None:
        self._rows: dict[str, StepRow] = {}
        self._payloads: dict[int, bytes | None] = {}

    @classmethod
    async def read(cls, list_events: ListEvents, instance_id: str) -> _Traced:
        traced, read, last_id = cls(), 0, None
        while True:
            where = EventFilter(
                event_type=EventType.CUSTOM, ascending=True, after_event_id=last_id, limit=_PAGE, without_total=True
            )
            events = (await list_events(instance_id, where)).events
            for event in events:
                trace = read_trace(event.subtype, event.payload)
                if trace is None:
                    continue
                row = after_trace(traced._rows.get(trace.key), trace, event.event_id, event.created_at_ms)
                if row is not None:
                    traced._rows[trace.key] = row
                    traced._payloads[event.event_id] = event.payload
            if len(events) < _PAGE:
                return traced
            read, last_id = read + len(events), events[-1].event_id
            if read >= MAX_TRACED_EVENTS:
                raise InvalidInputError(
                    f"instance {instance_id} has more than {MAX_TRACED_EVENTS} custom events, of which this storage "
                    "makes no summaries of steps: list the events"
                )

    def entries(self) -> list[ScopeEntry]:
        return [ScopeEntry(row, self._payloads[row.start_event_id]) for row in self._rows.values()]

    def payload(self, event_id: int | None) -> bytes | None:
        return None if event_id is None else self._payloads[event_id]


async def list_step_summaries(list_events: ListEvents, instance_id: str, where: StepFilter) -> StepPage:
    """A page of steps; raises `InvalidInputError` above `MAX_TRACED_EVENTS`."""
    limit, offset = bounded_step_page(where)
    traced = await _Traced.read(list_events, instance_id)
    found = [entry for entry in traced.entries() if _matches(entry.row, where)]
    if where.descending:
        found.reverse()
    total = 0 if where.without_total else len(found)
    if where.after_position is not None:
        key = where.after_position
        found = [e for e in found if (e.row.position < key if where.descending else e.row.position > key)]
    page = found[offset : offset + limit]
    return StepPage(
        tuple(summarize(entry.row, entry.start_payload, traced.payload(entry.row.end_event_id)) for entry in page),
        total,
    )


async def get_scope_ancestors(list_events: ListEvents, instance_id: str, scope_id: str) -> list[ScopeInfo]:
    """A scope and those around it; raises `InvalidInputError` above `MAX_TRACED_EVENTS`."""
    first: dict[str, ScopeEntry] = {}
    for entry in (await _Traced.read(list_events, instance_id)).entries():
        if entry.row.scope.scope_id is not None:
            first.setdefault(entry.row.scope.scope_id, entry)

    async def find(scope: str) -> ScopeEntry | None:
        return first.get(scope)

    return await scope_ancestors(scope_id, find)


def _matches(row: StepRow, where: StepFilter) -> bool:
    return (
        where.status in (None, row.status)
        and where.step_type in (None, row.step_type)
        and where.scope_id in (None, row.scope.scope_id)
        and where.parent_scope_id in (None, row.scope.parent_scope_id)
        and not (where.root_scopes_only and row.scope.is_nested)
    )
