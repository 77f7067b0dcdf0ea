"""Signals: sent by management, read and acknowledged by the instance."""

from __future__ import annotations

import json
from collections.abc import Sequence

from runtara_sdk.errors import InstanceNotFoundError, InvalidInputError
from runtara_sdk.models import CustomSignal, InstanceStatus, SignalPoll, SignalType, TerminationReason

from runtara_core.cancel_reasons import cancel_requested_event
from runtara_core.database import Row, Transaction
from runtara_core.models import LeaseKey, WatchedInstance
from runtara_core.storage import MAX_WATCHED
from runtara_core.storages.sql.event_log import append_event
from runtara_core.storages.sql.limits import require_checkpoint_id, require_few
from runtara_core.storages.sql.state import (
    InstanceState,
    change_state,
    close_signal,
    lock_current,
    lock_instance,
    most_urgent_signal,
    park,
    require_current,
    require_running,
    require_unfinished,
    stamp_contact,
)


async def load_custom_signal(transaction: Transaction, instance_id: str, checkpoint_id: str) -> CustomSignal | None:
    """The custom signal addressed to a checkpoint id; reading does not consume it."""
    row = await transaction.fetch_one("load_custom_signal", instance_id=instance_id, checkpoint_id=checkpoint_id)
    return None if row is None else CustomSignal(checkpoint_id, payload=row["payload"])


async def poll_signals(
    transaction: Transaction, instance_id: str, epoch: int | None, checkpoint_id: str | None, *, now_ms: int
) -> tuple[SignalPoll, bool]:
    """What is waiting, and whether this contact is worth storing. Writes nothing."""
    row = await transaction.fetch_one("read_instance_state", instance_id=instance_id)
    if row is None:
        raise InstanceNotFoundError(f"instance {instance_id} does not exist")
    state = InstanceState.from_row(row)
    require_current(state, epoch)
    custom = None
    if checkpoint_id is not None:
        custom = await load_custom_signal(transaction, instance_id, checkpoint_id)
    poll = SignalPoll(await most_urgent_signal(transaction, instance_id), custom, state.status)
    return poll, state.contact_is_old(now_ms)


async def find_news(transaction: Transaction, watched: Sequence[WatchedInstance]) -> list[WatchedInstance]:
    """Those that are no longer as said."""
    require_few(watched, MAX_WATCHED, "watched instances")
    given = [
        {
            "position": position,
            "instance_id": each.instance_id,
            "epoch": each.epoch,
            "signal_id": each.signal_id,
            "checkpoint_id": each.checkpoint_id,
        }
        for position, each in enumerate(watched)
    ]
    rows = await transaction.fetch_all("find_news", watched=json.dumps(given))
    return [watched[row["position"]] for row in rows]


async def record_contacts(transaction: Transaction, keys: Sequence[LeaseKey], *, now_ms: int) -> None:
    """Stamp the contact of many; who is being written to at the moment needs no stamp."""
    require_few(keys, MAX_WATCHED, "contacts")
    given = [{"instance_id": key.instance_id, "epoch": key.epoch} for key in keys]
    await transaction.execute("record_contacts", watched=json.dumps(given), now_ms=now_ms)


async def record_contact(transaction: Transaction, instance_id: str, epoch: int | None, *, now_ms: int) -> None:
    """Store that the instance was heard of."""
    await stamp_contact(transaction, await lock_current(transaction, instance_id, epoch), now_ms)


async def acknowledge_signal(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    signal_type: SignalType,
    signal_id: int | None,
    *,
    now_ms: int,
) -> InstanceStatus:
    """Let an obeyed signal take effect."""
    state = await lock_current(transaction, instance_id, epoch)
    if signal_type is SignalType.RESUME:
        return state.status
    row = await transaction.fetch_one("load_signal", instance_id=instance_id, signal_type=signal_type)
    if row is None or (signal_id is not None and signal_id > row["id"]):
        raise InvalidInputError(f"instance {instance_id} was sent no {signal_type} signal {signal_id or ''}".rstrip())
    if row["acknowledged_at_ms"] is not None and (state.status is not InstanceStatus.RUNNING or epoch is None):
        return state.status
    require_running(state, f"acknowledging {signal_type}")
    return await _obey(transaction, state, signal_type, row, now_ms)


async def _obey(
    transaction: Transaction, state: InstanceState, signal_type: SignalType, row: Row, now_ms: int
) -> InstanceStatus:
    if signal_type is SignalType.CANCEL:
        await close_signal(transaction, state.instance_id, SignalType.CANCEL, now_ms)
        await change_state(
            transaction,
            state,
            InstanceStatus.CANCELLED,
            TerminationReason.CANCELLED,
            now_ms=now_ms,
            last_contact_at_ms=now_ms,
        )
        return InstanceStatus.CANCELLED
    if signal_type is SignalType.SHUTDOWN:
        reason, again_at_once = TerminationReason.SHUTDOWN_REQUESTED, True
    else:
        # Withdrawn by a resume after the process had read it: it stops now, so it is launched again at once.
        reason, again_at_once = TerminationReason.PAUSED, row["acknowledged_at_ms"] is not None
    status, _ = await park(
        transaction,
        state,
        reason,
        now_ms=now_ms,
        wake_at_ms=now_ms if again_at_once else None,
        last_contact_at_ms=now_ms,
    )
    return status


async def send_signal(
    transaction: Transaction, instance_id: str, signal_type: SignalType, payload: bytes, *, now_ms: int
) -> InstanceStatus:
    """Leave a signal for a running instance; elsewhere it takes effect at once."""
    state = await lock_instance(transaction, instance_id)
    require_unfinished(state, f"signal {signal_type}")
    if signal_type is SignalType.CANCEL and payload:
        await append_event(transaction, state, cancel_requested_event(state.epoch, payload), now_ms=now_ms)
    if state.status is InstanceStatus.RUNNING:
        if signal_type is SignalType.RESUME:
            await close_signal(transaction, instance_id, SignalType.PAUSE, now_ms)
        else:
            await _leave_signal(transaction, instance_id, signal_type, payload, now_ms)
        return state.status
    match signal_type:
        case SignalType.CANCEL:
            status, reason = InstanceStatus.CANCELLED, TerminationReason.CANCELLED
        case SignalType.PAUSE:
            status, reason = InstanceStatus.SUSPENDED, TerminationReason.PAUSED
        case SignalType.RESUME:
            await transaction.execute("reschedule", instance_id=instance_id, wake_at_ms=now_ms)
            return state.status
        case SignalType.SHUTDOWN:
            return state.status  # no process is there to be ended
    await change_state(transaction, state, status, reason, now_ms=now_ms)
    return status


async def _leave_signal(
    transaction: Transaction, instance_id: str, signal_type: SignalType, payload: bytes, now_ms: int
) -> None:
    # One that still waits keeps its id, so that an acknowledgement under way stays valid.
    replaced = await transaction.execute(
        "replace_waiting_signal",
        instance_id=instance_id,
        signal_type=signal_type,
        payload=payload,
    )
    if not replaced:
        await transaction.execute("delete_signal", instance_id=instance_id, signal_type=signal_type)
        await transaction.execute(
            "insert_signal", instance_id=instance_id, signal_type=signal_type, payload=payload, now_ms=now_ms
        )


async def send_custom_signal(transaction: Transaction, instance_id: str, signal: CustomSignal, *, now_ms: int) -> None:
    """Store a payload for a checkpoint id; wakes an instance that waits for a signal."""
    require_checkpoint_id(signal.checkpoint_id)
    state = await lock_instance(transaction, instance_id)
    require_unfinished(state, "a custom signal")
    await transaction.execute(
        "upsert_custom_signal",
        instance_id=instance_id,
        checkpoint_id=signal.checkpoint_id,
        payload=signal.payload,
        now_ms=now_ms,
    )
    if state.status is InstanceStatus.SUSPENDED and state.reason is TerminationReason.WAITING_SIGNAL:
        await transaction.execute("reschedule", instance_id=instance_id, wake_at_ms=now_ms)
