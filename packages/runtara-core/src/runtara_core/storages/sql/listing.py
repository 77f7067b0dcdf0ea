"""Reading instances."""

from __future__ import annotations

import json

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus, TerminationReason

from runtara_core.database import Row, Transaction
from runtara_core.models import MAX_INLINE_INPUT_BYTES, InputPart, Instance, InstanceFilter, InstancePage
from runtara_core.storages.sql.limits import bounded_page

_ORDERS = ("created_at_desc", "created_at_asc", "finished_at_desc", "finished_at_asc")


async def check_health(transaction: Transaction) -> None:
    """Make the database answer."""
    await transaction.fetch_one("check_health")


async def get_instance(transaction: Transaction, instance_id: str, *, tenant_id: str | None = None) -> Instance | None:
    """The whole row."""
    row = await transaction.fetch_one("get_instance", instance_id=instance_id, max_input_bytes=MAX_INLINE_INPUT_BYTES)
    if row is None or (tenant_id is not None and row["tenant_id"] != tenant_id):
        return None
    return _instance(row, whole=True)


async def read_input(transaction: Transaction, instance_id: str, *, offset: int, limit_bytes: int) -> InputPart | None:
    """A part of the input."""
    row = await transaction.fetch_one("read_input", instance_id=instance_id, start=offset + 1, count=limit_bytes)
    return None if row is None else InputPart(row["part"], row["input_bytes"])


async def count_running(transaction: Transaction) -> int:
    """Number of running instances."""
    row = await transaction.fetch_one("count_running")
    return 0 if row is None else int(row["running"])


async def list_instances(transaction: Transaction, where: InstanceFilter) -> InstancePage:
    """A page of instances without their large columns."""
    if where.order_by not in _ORDERS:
        raise InvalidInputError(f"order_by {where.order_by!r} is unknown: use one of {', '.join(_ORDERS)}")
    limit, offset = bounded_page(where.limit, where.offset)
    conditions: dict[str, str | int | None] = {
        "statuses": json.dumps(where.statuses) if where.statuses else None,
        "reasons": json.dumps(where.termination_reasons) if where.termination_reasons else None,
        "image_ids": None if where.image_ids is None else json.dumps(where.image_ids),
        "created_after_ms": where.created_after_ms,
        "created_before_ms": where.created_before_ms,
        "finished_after_ms": where.finished_after_ms,
        "finished_before_ms": where.finished_before_ms,
    }
    kind, tenant = "instances", {}
    if where.tenant_id is not None:
        kind, tenant = "tenant_instances", {"tenant_id": where.tenant_id}
    query, key = f"list_{kind}_{where.order_by}", {}
    if where.after is not None:
        query = f"{query}_after"
        key = {"after_time_ms": where.after.time_ms, "after_instance_id": where.after.instance_id}
        if where.after.time_ms is None and where.order_by.startswith("created_at"):
            raise InvalidInputError(f"a page by {where.order_by} begins behind a time: give the one of the instance")
    rows = await transaction.fetch_all(query, **tenant, **conditions, **key, limit=limit, offset=offset)
    if where.without_total:
        total = 0
    elif where.after is None and len(rows) < limit and (rows or not offset):
        total = offset + len(rows)  # the last page says itself how many there are
    else:
        total = await _count(transaction, kind, tenant, conditions)
    return InstancePage(tuple(_instance(row, whole=False) for row in rows), total)


async def _count(
    transaction: Transaction, kind: str, tenant: dict[str, str], conditions: dict[str, str | int | None]
) -> int:
    if all(value is None for value in conditions.values()):
        row = await transaction.fetch_one(f"count_all_{kind}", **tenant)
    else:
        row = await transaction.fetch_one(f"count_{kind}", **tenant, **conditions)
    return 0 if row is None else int(row["total"])


def _instance(row: Row, *, whole: bool) -> Instance:
    reason = row["termination_reason"]
    return Instance(
        instance_id=row["instance_id"],
        tenant_id=row["tenant_id"],
        status=InstanceStatus(row["status"]),
        epoch=row["epoch"],
        created_at_ms=row["created_at_ms"],
        image_id=row["image_id"],
        launch_options=(row["launch_options"] or b"{}") if whole else b"{}",
        checkpoint_id=row["checkpoint_id"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        started_at_ms=row["started_at_ms"],
        finished_at_ms=row["finished_at_ms"],
        wake_at_ms=row["wake_at_ms"],
        last_contact_at_ms=row["last_contact_at_ms"],
        input=row["input"] if whole else None,
        input_bytes=row["input_bytes"] if whole and row["input"] is None else None,
        output=row["output"] if whole else None,
        error=row["error"],
        stderr=row["stderr"] if whole else None,
        termination_reason=None if reason is None else TerminationReason(reason),
        exit_code=row["exit_code"],
        memory_peak_bytes=row["memory_peak_bytes"],
        cpu_usage_usec=row["cpu_usage_usec"],
        lease_owner=row["lease_owner"],
        lease_until_ms=row["lease_until_ms"],
        recovery_attempts=row["recovery_attempts"],
        checkpoint_count=row["checkpoint_count"],
    )
