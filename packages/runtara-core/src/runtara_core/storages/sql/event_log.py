"""The event log of an instance, to which everything that happens to it may add."""

from __future__ import annotations

from runtara_sdk.models import EventType, InstanceEvent

from runtara_core.database import Transaction
from runtara_core.steps import read_scope, read_trace
from runtara_core.storages.sql.state import InstanceState
from runtara_core.storages.sql.steps import record_trace


async def append_event(transaction: Transaction, state: InstanceState, event: InstanceEvent, *, now_ms: int) -> None:
    """Add a row to the event log, at the epoch of `state`; one that traces a step brings its summary up to date."""
    columns: dict[str, str | bytes | int | None] = {
        "instance_id": state.instance_id,
        "epoch": state.epoch,
        "event_type": event.event_type,
        "subtype": event.subtype,
        "checkpoint_id": event.checkpoint_id,
        "event_key": event.event_key,
        "now_ms": now_ms,
        "payload": event.payload or None,
    }
    scope = read_scope(event.event_type, event.payload)
    trace = read_trace(event.subtype, event.payload) if event.event_type is EventType.CUSTOM else None
    if trace is None and scope.scope_id is None:
        await transaction.execute("insert_event", **columns)
        return
    row = await transaction.fetch_one(
        "insert_event_of_scope",
        **columns,
        scope_id=scope.scope_id,
        parent_scope_id=scope.parent_scope_id,
        is_nested=int(scope.is_nested),
    )
    if row is not None and trace is not None:
        await record_trace(transaction, state.instance_id, trace, row["id"], now_ms=now_ms)
