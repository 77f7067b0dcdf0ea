"""Waits for a custom signal: the check and the suspension are one transaction, so no signal falls in between.

The deadline is a row of `sleeps`; its done mark says that the wait has timed out. The payload becomes the checkpoint of
the same id, so a program that starts again reads the value that it read before, whatever was sent since.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import InstanceStatus, SignalWait, SignalWaitState, TerminationReason, WaitsBeside

from runtara_core.database import Transaction
from runtara_core.storages.sql.checkpoints import get_checkpoint, insert_checkpoint
from runtara_core.storages.sql.limits import MAX_DURATION_MS, MAX_WAITS_BESIDE, require_checkpoint_id
from runtara_core.storages.sql.signals import load_custom_signal
from runtara_core.storages.sql.state import (
    InstanceState,
    change_state,
    lock_current,
    most_urgent_signal,
    require_running,
    stamp_contact,
)


async def wait_signal(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    checkpoint_id: str,
    *,
    timeout_ms: int | None,
    suspend_above_ms: int | None,
    beside: WaitsBeside,
    now_ms: int,
) -> SignalWait:
    """Take the signal that is there, or wait for it until the deadline that the first call fixed."""
    require_checkpoint_id(checkpoint_id)
    if len(beside.signals) > MAX_WAITS_BESIDE:
        raise InvalidInputError(
            f"wait for signal {checkpoint_id!r}: {len(beside.signals)} waits beside it; at most {MAX_WAITS_BESIDE}"
        )
    if timeout_ms is not None and not 0 <= timeout_ms <= MAX_DURATION_MS:
        raise InvalidInputError(f"wait for signal {checkpoint_id!r}: {timeout_ms} ms is not a duration")
    instance = await lock_current(transaction, instance_id, epoch)
    row = await transaction.fetch_one("load_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id)
    deadline_ms: int | None = None if row is None else row["wake_at_ms"]
    parked = instance.status is InstanceStatus.SUSPENDED and instance.reason is TerminationReason.WAITING_SIGNAL
    if parked:  # the answer that suspended it was lost and the call repeated
        return _wait(SignalWaitState.SUSPENDED, deadline_ms, now_ms)
    require_running(instance, "a wait for a signal")
    if row is not None and row["done_at_ms"] is not None:
        return _wait(SignalWaitState.TIMED_OUT, deadline_ms, now_ms)
    payload = await _take(transaction, instance, checkpoint_id, now_ms)
    if payload is not None:
        return SignalWait(SignalWaitState.RECEIVED, payload)
    if row is None and timeout_ms is not None:
        deadline_ms = now_ms + timeout_ms
        await transaction.execute(
            "insert_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id, wake_at_ms=deadline_ms
        )
    if deadline_ms is not None and deadline_ms <= now_ms:
        await transaction.execute("finish_sleep", instance_id=instance_id, checkpoint_id=checkpoint_id, now_ms=now_ms)
        await stamp_contact(transaction, instance, now_ms)
        return _wait(SignalWaitState.TIMED_OUT, deadline_ms, now_ms)
    ends = [at_ms for at_ms in (deadline_ms, beside.wake_at_ms) if at_ms is not None]
    wake_at_ms = min(ends, default=None)
    if (
        suspend_above_ms is not None
        and (wake_at_ms is None or wake_at_ms - now_ms > suspend_above_ms)
        and await most_urgent_signal(transaction, instance_id) is None
        and not await _has_come(transaction, instance_id, beside.signals)
    ):
        await change_state(
            transaction,
            instance,
            InstanceStatus.SUSPENDED,
            TerminationReason.WAITING_SIGNAL,
            now_ms=now_ms,
            wake_at_ms=wake_at_ms,
            last_contact_at_ms=now_ms,
        )
        return _wait(SignalWaitState.SUSPENDED, deadline_ms, now_ms)
    await stamp_contact(transaction, instance, now_ms)
    return _wait(SignalWaitState.WAIT, deadline_ms, now_ms)


async def _has_come(transaction: Transaction, instance_id: str, checkpoint_ids: Sequence[str]) -> bool:
    """Whether one of these signals is there and was not taken yet."""
    for checkpoint_id in checkpoint_ids:
        if (
            await load_custom_signal(transaction, instance_id, checkpoint_id) is not None
            and await get_checkpoint(transaction, instance_id, checkpoint_id) is None
        ):
            return True
    return False


async def _take(transaction: Transaction, instance: InstanceState, checkpoint_id: str, now_ms: int) -> bytes | None:
    """The payload, recorded; None when no signal has come."""
    recorded = await get_checkpoint(transaction, instance.instance_id, checkpoint_id)
    if recorded is not None:
        return recorded
    signal = await load_custom_signal(transaction, instance.instance_id, checkpoint_id)
    if signal is None:
        return None
    await insert_checkpoint(transaction, instance, checkpoint_id, signal.payload, now_ms)
    return signal.payload


def _wait(state: SignalWaitState, deadline_ms: int | None, now_ms: int) -> SignalWait:
    remaining_ms = None if deadline_ms is None else max(0, deadline_ms - now_ms)
    return SignalWait(state, b"", deadline_ms, remaining_ms)
