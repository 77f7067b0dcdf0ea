"""Lists of events, and the search for a text in their payloads."""

from __future__ import annotations

from runtara_sdk.errors import InvalidInputError

from runtara_core.database import Row, Transaction
from runtara_core.event_texts import MAX_SEARCHED_BYTES, MAX_SEARCHED_EVENTS, payload_contains
from runtara_core.models import EventFilter, EventPage, EventRecord
from runtara_core.storages.sql.limits import bounded_page

_BEHIND_ALL = 2**63 - 1
_SEARCHED_AT_ONCE = 200

Conditions = dict[str, str | int | None]


async def list_events(transaction: Transaction, instance_id: str, where: EventFilter) -> EventPage:
    """Events, newest first unless asked otherwise."""
    limit, offset = bounded_page(where.limit, where.offset)
    conditions: Conditions = {
        "instance_id": instance_id,
        "event_type": where.event_type,
        "subtype": where.subtype,
        "created_after_ms": where.created_after_ms,
        "created_before_ms": where.created_before_ms,
        "parent_scope_id": where.parent_scope_id,
        "most_nested": 0 if where.root_scopes_only else 1,
        "after_event_id": where.after_event_id or 0,
        "before_event_id": _BEHIND_ALL if where.before_event_id is None else where.before_event_id,
    }
    kind = "events"
    if where.scope_id is not None:
        kind = "scope_events"
        conditions["scope_id"] = where.scope_id
    way = "ascending" if where.ascending else "descending"
    if where.payload_contains:
        return await _search(transaction, f"search_{kind}_{way}", conditions, where, limit, offset)
    rows = await transaction.fetch_all(f"list_{kind}_{way}", **conditions, limit=limit, offset=offset)
    total = None if where.without_total else await transaction.fetch_one(f"count_{kind}", **conditions)
    return EventPage(tuple(_event_record(row) for row in rows), 0 if total is None else int(total["total"]))


async def _search(
    transaction: Transaction, query: str, conditions: Conditions, where: EventFilter, limit: int, offset: int
) -> EventPage:
    """The events with a text, found some at a time; whole payloads are read for the page alone."""
    text = where.payload_contains or ""
    chosen: list[int] = []
    searched = total = 0
    while True:
        rows = await transaction.fetch_all(
            query, **conditions, limit=_SEARCHED_AT_ONCE, searched_bytes=MAX_SEARCHED_BYTES
        )
        for row in rows:
            if payload_contains(row["payload"], text):
                if offset <= total < offset + limit:
                    chosen.append(row["id"])
                total += 1
        has_page = where.without_total and total >= offset + limit
        if len(rows) < _SEARCHED_AT_ONCE or has_page:
            break
        searched += len(rows)
        if searched >= MAX_SEARCHED_EVENTS:
            raise InvalidInputError(
                f"payload_contains: more than {MAX_SEARCHED_EVENTS} events would be searched; "
                "say of which type, subtype or time they are"
            )
        conditions["after_event_id" if where.ascending else "before_event_id"] = rows[-1]["id"]
    found = [await transaction.fetch_one("load_event", event_id=event_id) for event_id in chosen]
    return EventPage(tuple(_event_record(row) for row in found if row is not None), 0 if where.without_total else total)


def _event_record(row: Row) -> EventRecord:
    return EventRecord(
        event_id=row["id"],
        instance_id=row["instance_id"],
        event_type=row["event_type"],
        created_at_ms=row["created_at_ms"],
        checkpoint_id=row["checkpoint_id"],
        subtype=row["subtype"],
        payload=row["payload"],
    )
