"""Whose turn it is, when more is due than a claim may take.

An instance that is due has a place: how many instances of its tenant run or are due before it. The lowest places come
first, the oldest of them before the others. So tenants get equal shares of what may run at a time, one that has little
to do waits for nobody's backlog, and within a tenant the oldest comes first.

Nothing reads all that is due. The heads, the oldest instance of each tenant and image, are read by one step down an
index for each of them; then the due instances of the tenants whose turn it is, as many as are wanted. When instances of
very many tenants and images wait, a claim looks at `MAX_HEADS` of them and the next one at those that follow, so each
comes round.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from runtara_core.database import Transaction
from runtara_core.models import CoreLimits

MAX_HEADS = 500
"""Most tenants and images that a claim looks at together."""

_MAX_LOOKS = 4
"""When less is due among so many times `MAX_HEADS` than is wanted, a claim makes do with it."""

_SPARE = 8
"""So many more are found than wanted, because others may hold the locks of some."""

_NO_BOUND = 2**31


@dataclass(frozen=True, slots=True)
class Position:
    """The tenant and image behind which the next claim begins to look."""

    tenant_id: str = ""
    image_id: str = ""


START = Position()


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest waiting instance of a tenant and an image."""

    tenant_id: str
    image_id: str
    wake_at_ms: int


@dataclass(frozen=True, slots=True)
class Turns:
    """Ids of due instances in the order of their turns, and where the next claim looks on."""

    instance_ids: tuple[str, ...]
    following: Position


async def find_turns(
    transaction: Transaction,
    wanted: int,
    *,
    position: Position,
    limits: CoreLimits,
    now_ms: int,
    without_images: Collection[str],
) -> Turns:
    """The next `wanted` due instances and a few more, without those of `without_images`."""
    heads, following = await _due_heads(transaction, wanted, position, now_ms, without_images)
    if not heads:
        return Turns((), following)
    running = await running_by_tenant(transaction)
    tenants = _next_tenants(heads, running, wanted + _SPARE, limits.max_concurrent_instances_of_tenant)
    turns = [
        {"tenant_id": head.tenant_id, "image_id": head.image_id, "running": running.get(head.tenant_id, 0)}
        for head in heads
        if head.tenant_id in tenants
    ]
    rows = await transaction.fetch_all(
        "find_due_by_turns",
        turns=json.dumps(turns),
        now_ms=now_ms,
        limit=wanted + _SPARE,
        most_of_tenant=limits.max_concurrent_instances_of_tenant or _NO_BOUND,
    )
    return Turns(tuple(row["instance_id"] for row in rows), following)


async def running_by_tenant(transaction: Transaction) -> dict[str, int]:
    """How many instances run, of each tenant that has any."""
    rows = await transaction.fetch_all("count_running_by_tenant")
    return {row["tenant_id"]: row["running"] for row in rows}


async def tenant_has_room(transaction: Transaction, tenant_id: str, limits: CoreLimits) -> bool:
    """Whether one more instance of a tenant may run, as far as the limit of each tenant goes."""
    most = limits.max_concurrent_instances_of_tenant
    if not most:
        return True
    row = await transaction.fetch_one("count_running_of_tenant", tenant_id=tenant_id)
    return row is None or row["running"] < most


async def waiting_heads(transaction: Transaction, position: Position, most: int) -> list[Head]:
    """Up to `most` heads behind a position, due or not."""
    rows = await transaction.fetch_all(
        "find_waiting_heads",
        after_tenant_id=position.tenant_id,
        after_image_id=position.image_id,
        most_heads=most,
    )
    return [Head(row["tenant_id"], row["image_id"], row["wake_at_ms"]) for row in rows]


async def _due_heads(
    transaction: Transaction, wanted: int, position: Position, now_ms: int, without_images: Collection[str]
) -> tuple[list[Head], Position]:
    """Due heads of at least `wanted` tenants and images, if there are so many; the look goes on from the start."""
    left_out = frozenset(without_images)
    seen: dict[Position, Head] = {}
    due: list[Head] = []
    for _ in range(_MAX_LOOKS):
        begins_at_start = position == START
        heads = await waiting_heads(transaction, position, MAX_HEADS)
        is_last = len(heads) < MAX_HEADS
        position = START if is_last else Position(heads[-1].tenant_id, heads[-1].image_id)
        new = {Position(head.tenant_id, head.image_id): head for head in heads}
        is_round = any(each in seen for each in new) or (is_last and begins_at_start)
        seen |= new
        due = [head for head in seen.values() if head.wake_at_ms <= now_ms and head.image_id not in left_out]
        if is_round or len(due) >= wanted:
            break
    return due, position


def _next_tenants(heads: Iterable[Head], running: dict[str, int], most: int, most_of_tenant: int) -> frozenset[str]:
    """The tenants with the lowest places: nobody else's instance can be among the first `most`."""
    oldest: dict[str, int] = {}
    for head in heads:
        oldest[head.tenant_id] = min(head.wake_at_ms, oldest.get(head.tenant_id, head.wake_at_ms))
    allowed = [tenant for tenant in oldest if not most_of_tenant or running.get(tenant, 0) < most_of_tenant]
    allowed.sort(key=lambda tenant: (running.get(tenant, 0), oldest[tenant], tenant))
    return frozenset(allowed[:most])
