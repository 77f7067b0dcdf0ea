"""Checkpoints and sleeps: what lets a program that starts again from the top go on where it was."""

from __future__ import annotations

from runtara_sdk.errors import InvalidInputError, InvalidStateError
from runtara_sdk.models import CheckpointResult, InstanceStatus, SleepOutcome, SleepState, TerminationReason

from runtara_core.database import Transaction
from runtara_core.models import CheckpointFilter, CheckpointPage, CheckpointRecord, CheckpointSummary
from runtara_core.storages.sql.limits import (
    MAX_DURATION_MS,
    bounded_page,
    is_storable,
    require_call_key,
    require_checkpoint_id,
)
from runtara_core.storages.sql.signals import load_custom_signal
from runtara_core.storages.sql.state import (
    InstanceState,
    change_state,
    lock_current,
    most_urgent_signal,
    require_running,
    stamp_contact,
)

_NOWHERE = 0
_BEHIND_ALL = 2**63 - 1


async def checkpoint(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    checkpoint_id: str,
    state: bytes,
    *,
    now_ms: int,
    call_key: bytes = b"",
) -> CheckpointResult:
    """Insert if absent; the stored state wins, unless this very call stored it."""
    require_checkpoint_id(checkpoint_id)
    require_call_key(call_key)
    instance = await lock_current(transaction, instance_id, epoch)
    require_running(instance, "a checkpoint")
    stored = await insert_checkpoint(transaction, instance, checkpoint_id, state, now_ms, call_key=call_key)
    if stored is not None and await _was_stored_by(transaction, instance_id, checkpoint_id, call_key):
        stored = None
    return CheckpointResult(
        found=stored is not None,
        state=stored or b"",
        pending_signal=await most_urgent_signal(transaction, instance_id),
        custom_signal=await load_custom_signal(transaction, instance_id, checkpoint_id),
    )


async def find_checkpoint(
    transaction: Transaction, instance_id: str, checkpoint_id: str, call_key: bytes
) -> bytes | None:
    """The stored state; None when the call with this key has stored it, or nobody has."""
    if await _was_stored_by(transaction, instance_id, checkpoint_id, call_key):
        return None
    return await get_checkpoint(transaction, instance_id, checkpoint_id)


async def _was_stored_by(transaction: Transaction, instance_id: str, checkpoint_id: str, call_key: bytes) -> bool:
    if not call_key:
        return False
    row = await transaction.fetch_one("load_call_key", instance_id=instance_id, checkpoint_id=checkpoint_id)
    return row is not None and row["call_key"] == call_key


async def insert_checkpoint(
    transaction: Transaction,
    instance: InstanceState,
    checkpoint_id: str,
    state: bytes,
    now_ms: int,
    *,
    call_key: bytes = b"",
) -> bytes | None:
    """Store a checkpoint; returns the state that was there before, or None when this one was stored."""
    inserted = await transaction.execute(
        "insert_checkpoint",
        instance_id=instance.instance_id,
        checkpoint_id=checkpoint_id,
        state=state,
        now_ms=now_ms,
        call_key=call_key or None,
    )
    if inserted:
        await transaction.execute(
            "advance_checkpoint",
            instance_id=instance.instance_id,
            checkpoint_id=checkpoint_id,
            stored=1,
            now_ms=now_ms,
        )
        return None
    if instance.contact_is_old(now_ms):
        await stamp_contact(transaction, instance, now_ms)
    return await get_checkpoint(transaction, instance.instance_id, checkpoint_id)


async def get_checkpoint(transaction: Transaction, instance_id: str, checkpoint_id: str) -> bytes | None:
    """The stored state or None."""
    record = await load_checkpoint(transaction, instance_id, checkpoint_id)
    return None if record is None else record.state


async def load_checkpoint(transaction: Transaction, instance_id: str, checkpoint_id: str) -> CheckpointRecord | None:
    """One checkpoint with its state."""
    row = await transaction.fetch_one("load_checkpoint", instance_id=instance_id, checkpoint_id=checkpoint_id)
    if row is None:
        return None
    return CheckpointRecord(
        checkpoint_id=row["checkpoint_id"],
        instance_id=row["instance_id"],
        created_at_ms=row["created_at_ms"],
        state=row["state"],
    )


async def list_checkpoints(transaction: Transaction, instance_id: str, where: CheckpointFilter) -> CheckpointPage:
    """Checkpoints, newest first."""
    limit, offset = bounded_page(where.limit, where.offset)
    before_id, after_id = _BEHIND_ALL, 0
    if where.checkpoint_id is not None:
        at = await _position(transaction, instance_id, where.checkpoint_id)
        after_id, before_id = at - 1, at + 1
    if where.before_checkpoint_id is not None:
        before_id = min(before_id, await _position(transaction, instance_id, where.before_checkpoint_id))
    conditions = {
        "instance_id": instance_id,
        "created_after_ms": where.created_after_ms,
        "created_before_ms": where.created_before_ms,
        "after_id": after_id,
        "before_id": before_id,
    }
    rows = await transaction.fetch_all("list_checkpoints", **conditions, limit=limit, offset=offset)
    total = None if where.without_total else await transaction.fetch_one("count_checkpoints", **conditions)
    return CheckpointPage(
        checkpoints=tuple(
            CheckpointSummary(
                checkpoint_id=row["checkpoint_id"],
                instance_id=row["instance_id"],
                created_at_ms=row["created_at_ms"],
                data_size_bytes=row["data_size_bytes"],
            )
            for row in rows
        ),
        total_count=0 if total is None else total["total"],
    )


async def sleep(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    checkpoint_id: str,
    state: bytes,
    *,
    duration_ms: int,
    suspend_above_ms: int | None,
    now_ms: int,
) -> SleepOutcome:
    """Sleep until the deadline that the first call fixed."""
    require_checkpoint_id(checkpoint_id)
    if not 0 <= duration_ms <= MAX_DURATION_MS:
        raise InvalidInputError(f"sleep {checkpoint_id!r}: {duration_ms} ms is not a duration")
    instance = await lock_current(transaction, instance_id, epoch)
    row = await transaction.fetch_one("load_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id)
    if instance.status is not InstanceStatus.RUNNING:
        # The answer that suspended it was lost and the call repeated.
        if instance.reason is TerminationReason.SLEEPING and row is not None and row["done_at_ms"] is None:
            return _outcome(SleepState.SUSPENDED, row["wake_at_ms"], now_ms)
        raise InvalidStateError(f"instance {instance_id} is {instance.status}: a sleep needs a running one")
    if row is None:
        wake_at_ms = now_ms + duration_ms
        await insert_checkpoint(transaction, instance, checkpoint_id, state, now_ms)
        await transaction.execute(
            "insert_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id, wake_at_ms=wake_at_ms
        )
        done = False
    else:
        wake_at_ms, done = row["wake_at_ms"], row["done_at_ms"] is not None
    if done or wake_at_ms <= now_ms:
        if not done:
            await transaction.execute(
                "finish_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id, now_ms=now_ms
            )
        if instance.contact_is_old(now_ms):
            await stamp_contact(transaction, instance, now_ms)
        return SleepOutcome(SleepState.DONE, wake_at_ms, 0)
    if (
        suspend_above_ms is not None
        and wake_at_ms - now_ms > suspend_above_ms
        and await most_urgent_signal(transaction, instance_id) is None
    ):
        await change_state(
            transaction,
            instance,
            InstanceStatus.SUSPENDED,
            TerminationReason.SLEEPING,
            now_ms=now_ms,
            wake_at_ms=wake_at_ms,
            recovery_attempts=0 if row is None else instance.recovery_attempts,
            last_contact_at_ms=now_ms,
        )
        return _outcome(SleepState.SUSPENDED, wake_at_ms, now_ms)
    await stamp_contact(transaction, instance, now_ms)
    return _outcome(SleepState.WAIT, wake_at_ms, now_ms)


def _outcome(state: SleepState, wake_at_ms: int, now_ms: int) -> SleepOutcome:
    return SleepOutcome(state, wake_at_ms, max(0, wake_at_ms - now_ms))


async def _position(transaction: Transaction, instance_id: str, checkpoint_id: str) -> int:
    """The number by which checkpoints are ordered; that of no checkpoint when there is none."""
    if not is_storable(checkpoint_id):
        return _NOWHERE
    row = await transaction.fetch_one("load_checkpoint_position", instance_id=instance_id, checkpoint_id=checkpoint_id)
    return _NOWHERE if row is None else int(row["id"])
