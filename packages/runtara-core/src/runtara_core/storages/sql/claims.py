"""Claims: what is due becomes running, under a new epoch and with a lease."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from runtara_sdk.errors import InstanceNotFoundError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

from runtara_core.database import Transaction
from runtara_core.models import MAX_INLINE_INPUT_BYTES, CoreLimits, LaunchClaim, RecoveryPolicy
from runtara_core.storages.sql.launches import VANISHED, fail, gave_up
from runtara_core.storages.sql.limits import MAX_CLAIM_BYTES, MAX_PAGE
from runtara_core.storages.sql.state import (
    LASTING_SIGNALS,
    InstanceState,
    close_signal,
    lock_instance,
    most_urgent_signal,
    park,
    require_changed,
    set_progress,
)
from runtara_core.storages.sql.turns import MAX_HEADS, START, Position, find_turns, tenant_has_room, waiting_heads


@dataclass(frozen=True, slots=True)
class ClaimedLaunches:
    """The claims of one call, and where the next call looks on for whose turn it is."""

    claims: list[LaunchClaim]
    position: Position


async def claim_launches(
    transaction: Transaction,
    owner: str,
    *,
    instance_id: str | None,
    limit: int,
    lease_ms: int,
    limits: CoreLimits,
    now_ms: int,
    without_images: Sequence[str],
    leases_ended_by_ms: int,
    position: Position,
) -> ClaimedLaunches:
    """Claim due launches by turns; settle the running ones whose environment vanished and that shall not go on.

    A lease that expired means that nobody is left to obey a signal, so one that waits takes effect now, however often
    the instance was launched before: a cancel ends it as cancelled, a pause leaves it paused until somebody resumes it.
    A process that lives on after all finds that state at its next call. Only then counts the cap: over it, the instance
    fails as orphaned. Nothing else stands in the way of another launch. A shutdown was meant for the process that is
    gone; custom signals are kept, and the next launch takes them, but they are no progress; the timeout is that of one
    launch, kept by its environment, and begins anew with the next.
    """
    limit = min(limit, MAX_PAGE)
    if limit <= 0:
        return ClaimedLaunches([], position)
    await transaction.fetch_one("lock_admission")
    # Who is left out, or may run no more, is known by the turns alone.
    by_turns = bool(without_images or limits.max_concurrent_instances_of_tenant)
    row = await transaction.fetch_one("count_admission", now_ms=now_ms, most_due=0 if by_turns else limit + 1)
    running, due_count = (0, 0) if row is None else (row["running"], row["due"])
    room = max(0, limits.max_concurrent_instances - running)
    if instance_id is not None:
        due = await _lock_due_instance(
            transaction, instance_id, room, limits, now_ms, leases_ended_by_ms, without_images
        )
    else:
        # A running instance whose lease has expired holds its place already, so it needs no room.
        due = await _lock_expired(transaction, limit, leases_ended_by_ms, without_images)
        room = min(room, limit - len(due))
        if room and not by_turns and due_count <= room:
            due += await _lock_oldest(transaction, room, now_ms)
        elif room:
            turns = await find_turns(
                transaction, room, position=position, limits=limits, now_ms=now_ms, without_images=without_images
            )
            position = turns.following
            chosen = await _lock_chosen(transaction, turns.instance_ids, room, now_ms)
            due += chosen if turns.instance_ids or by_turns else await _lock_oldest(transaction, room, now_ms)
    claims: list[tuple[float, LaunchClaim]] = []
    for state in due:
        claim = await _claim(transaction, state, owner, now_ms + lease_ms, limits.recovery, now_ms)
        if claim is not None:
            claims.append((_due_at_ms(state), claim))
        if sum(len(claim.input) for _, claim in claims) > MAX_CLAIM_BYTES:
            break  # the others stay due
    return ClaimedLaunches([claim for _, claim in sorted(claims, key=itemgetter(0))], position)


async def next_wake_at_ms(transaction: Transaction, *, without_images: Sequence[str]) -> int | None:
    """The earliest wake time or lease expiry."""
    if not without_images:
        row = await transaction.fetch_one("next_wake")
        return None if row is None else row["due_at_ms"]
    row = await transaction.fetch_one("next_lease_elsewhere", images=json.dumps(list(without_images)))
    due_at_ms = [] if row is None or row["due_at_ms"] is None else [int(row["due_at_ms"])]
    # Of more tenants and images than these, what is due is found when their turn comes.
    heads = await waiting_heads(transaction, START, MAX_HEADS)
    due_at_ms += [head.wake_at_ms for head in heads if head.image_id not in without_images]
    return min(due_at_ms, default=None)


async def _lock_expired(
    transaction: Transaction, limit: int, leases_ended_by_ms: int, without_images: Sequence[str]
) -> list[InstanceState]:
    if without_images:
        images = json.dumps(list(without_images))
        rows = await transaction.fetch_all(
            "lock_expired_leases_elsewhere", leases_ended_by_ms=leases_ended_by_ms, limit=limit, images=images
        )
    else:
        rows = await transaction.fetch_all("lock_expired_leases", leases_ended_by_ms=leases_ended_by_ms, limit=limit)
    return [InstanceState.from_row(row) for row in rows]


async def _lock_oldest(transaction: Transaction, room: int, now_ms: int) -> list[InstanceState]:
    rows = await transaction.fetch_all("lock_due_wakes", now_ms=now_ms, limit=room)
    return [InstanceState.from_row(row) for row in rows]


async def _lock_chosen(
    transaction: Transaction, instance_ids: Sequence[str], room: int, now_ms: int
) -> list[InstanceState]:
    """The first of these instances that nobody else holds or has changed meanwhile."""
    due: list[InstanceState] = []
    for instance_id in instance_ids:
        if len(due) == room:
            break
        row = await transaction.fetch_one("lock_due_wake", instance_id=instance_id, now_ms=now_ms)
        if row is not None:
            due.append(InstanceState.from_row(row))
    return due


async def _lock_due_instance(
    transaction: Transaction,
    instance_id: str,
    room: int,
    limits: CoreLimits,
    now_ms: int,
    leases_ended_by_ms: int,
    without_images: Sequence[str],
) -> list[InstanceState]:
    try:
        state = await lock_instance(transaction, instance_id)
    except InstanceNotFoundError:
        return []
    latest_ms = leases_ended_by_ms if state.status is InstanceStatus.RUNNING else now_ms
    if not state.is_managed or state.status.is_terminal or _due_at_ms(state) > latest_ms:
        return []
    if state.image_id in without_images:
        return []
    if state.status is InstanceStatus.RUNNING:
        return [state]
    return [state] if room and await tenant_has_room(transaction, state.tenant_id, limits) else []


def _due_at_ms(state: InstanceState) -> float:
    due = state.lease_until_ms if state.status is InstanceStatus.RUNNING else state.wake_at_ms
    return float("inf") if due is None else due


async def _claim(
    transaction: Transaction,
    state: InstanceState,
    owner: str,
    lease_until_ms: int,
    policy: RecoveryPolicy,
    now_ms: int,
) -> LaunchClaim | None:
    recoveries = state.recovery_attempts
    if state.status is InstanceStatus.RUNNING:
        recoveries += 1
        if await _ends_with_environment(transaction, state, recoveries, policy, now_ms):
            return None
        await close_signal(transaction, state.instance_id, SignalType.SHUTDOWN, now_ms)
    data = await transaction.fetch_one(
        "load_instance_input", instance_id=state.instance_id, max_input_bytes=MAX_INLINE_INPUT_BYTES
    )
    changed = await transaction.execute(
        "enter_launch",
        instance_id=state.instance_id,
        epoch=state.epoch,
        from_status=state.status,
        new_epoch=state.epoch + 1,
        lease_owner=owner,
        lease_until_ms=lease_until_ms,
    )
    require_changed(state, changed)
    await set_progress(transaction, state, last_contact_at_ms=now_ms, recovery_attempts=recoveries)
    return LaunchClaim(
        instance_id=state.instance_id,
        tenant_id=state.tenant_id,
        epoch=state.epoch + 1,
        image_id=state.image_id or "",
        input=b"{}" if data is None else data["input"] or b"",
        input_bytes=data["input_bytes"] if data is not None and data["input"] is None else None,
        launch_options=b"{}" if data is None else data["launch_options"],
        checkpoint_id=state.checkpoint_id,
        lease_until_ms=lease_until_ms,
        failed_launches=state.failed_launches,
    )


async def _ends_with_environment(
    transaction: Transaction, state: InstanceState, recoveries: int, policy: RecoveryPolicy, now_ms: int
) -> bool:
    """Leave running, when a signal waits or the launches are used up, instead of launching once more."""
    waiting = await most_urgent_signal(transaction, state.instance_id)
    if waiting is not None and waiting.signal_type in LASTING_SIGNALS:
        await park(
            transaction,
            state,
            TerminationReason.ORPHANED,
            now_ms=now_ms,
            wake_at_ms=now_ms,
            recovery_attempts=recoveries,
            error=VANISHED,
        )
        return True
    # An instance that takes its host down with it must not do so for ever.
    if recoveries <= policy.max_recoveries:
        return False
    error = f"{VANISHED}; {gave_up(policy)}"
    await fail(transaction, state, TerminationReason.ORPHANED, error, now_ms, failed_launches=state.failed_launches)
    return True
