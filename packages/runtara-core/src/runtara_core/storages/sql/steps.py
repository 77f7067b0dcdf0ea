"""Rows of steps: written with the events that trace them, listed without reading any other event."""

from __future__ import annotations

from runtara_core.database import Row, Transaction
from runtara_core.steps import (
    EventScope,
    ScopeEntry,
    ScopeInfo,
    StepFilter,
    StepPage,
    StepRow,
    StepStatus,
    StepTrace,
    after_trace,
    bounded_step_page,
    scope_ancestors,
    summarize,
)
from runtara_core.storages.sql.limits import is_storable
from runtara_core.tenant_metrics import EndedCounts, MetricsBucket, MetricsRange, buckets_of

_BEHIND_ALL = 2**63 - 1


async def record_trace(
    transaction: Transaction, instance_id: str, trace: StepTrace, event_id: int, *, now_ms: int
) -> None:
    """Bring the row of a step up to date with an event that was appended; its instance is locked."""
    known = await transaction.fetch_one("load_step", instance_id=instance_id, step_key=trace.key)
    row = after_trace(None if known is None else _step_row(known), trace, event_id, now_ms)
    if row is not None:
        await transaction.execute(
            "store_step",
            instance_id=instance_id,
            step_key=trace.key,
            position=row.position,
            step_id=row.step_id,
            step_type=row.step_type,
            scope_id=row.scope.scope_id,
            parent_scope_id=row.scope.parent_scope_id,
            is_nested=int(row.scope.is_nested),
            status=row.status,
            start_event_id=row.start_event_id,
            started_at_ms=row.started_at_ms,
            end_event_id=row.end_event_id,
            completed_at_ms=row.completed_at_ms,
            duration_ms=row.duration_ms,
        )


async def list_step_summaries(transaction: Transaction, instance_id: str, where: StepFilter) -> StepPage:
    """A page of steps."""
    limit, offset = bounded_step_page(where)
    conditions: dict[str, str | int | None] = {
        "instance_id": instance_id,
        "status": where.status,
        "step_type": where.step_type,
        "parent_scope_id": where.parent_scope_id,
        "most_nested": 0 if where.root_scopes_only else 1,
    }
    kind = "steps"
    if where.scope_id is not None:
        kind = "scope_steps"
        conditions["scope_id"] = where.scope_id
    first = _BEHIND_ALL if where.descending else 0
    rows = await transaction.fetch_all(
        f"list_{kind}_{'descending' if where.descending else 'ascending'}",
        **conditions,
        after_position=first if where.after_position is None else where.after_position,
        limit=limit,
        offset=offset,
    )
    total = None if where.without_total else await transaction.fetch_one(f"count_{kind}", **conditions)
    steps = tuple(summarize(_step_row(row), row["start_payload"], row["end_payload"]) for row in rows)
    return StepPage(steps, 0 if total is None else int(total["total"]))


async def get_scope_ancestors(transaction: Transaction, instance_id: str, scope_id: str) -> list[ScopeInfo]:
    """A scope and those around it: one row of an index for each."""

    async def find(scope: str) -> ScopeEntry | None:
        if not is_storable(scope):
            return None
        row = await transaction.fetch_one("first_step_of_scope", instance_id=instance_id, scope_id=scope)
        return None if row is None else ScopeEntry(_step_row(row), row["start_payload"])

    return await scope_ancestors(scope_id, find)


async def get_tenant_metrics(transaction: Transaction, where: MetricsRange) -> tuple[MetricsBucket, ...]:
    """What has ended, by hour or day."""
    rows = await transaction.fetch_all(
        "count_ended",
        tenant_id=where.tenant_id,
        start_ms=where.start_ms,
        end_ms=where.end_ms,
        width_ms=where.granularity.width_ms,
    )
    ended = {
        row["bucket"]: EndedCounts(
            completed=row["completed"],
            failed=row["failed"],
            cancelled=row["cancelled"],
            timed=row["timed"],
            duration_sum_ms=row["duration_sum_ms"],
            duration_min_ms=row["duration_min_ms"],
            duration_max_ms=row["duration_max_ms"],
            measured=row["measured"],
            memory_sum_bytes=row["memory_sum_bytes"],
            memory_max_bytes=row["memory_max_bytes"],
        )
        for row in rows
    }
    return buckets_of(where, ended)


def _step_row(row: Row) -> StepRow:
    return StepRow(
        position=row["position"],
        step_id=row["step_id"],
        step_type=row["step_type"],
        scope=EventScope(row["scope_id"], row["parent_scope_id"], is_nested=bool(row["is_nested"])),
        status=StepStatus(row["status"]),
        start_event_id=row["start_event_id"],
        started_at_ms=row["started_at_ms"],
        end_event_id=row["end_event_id"],
        completed_at_ms=row["completed_at_ms"],
        duration_ms=row["duration_ms"],
    )
