"""Events that an instance reports: log rows, and the ends and suspensions that some of them stand for.

A suspended event says why through its subtype (`waiting_signal`, `sleeping`, `paused`, `shutdown_requested`; anything
else means plainly suspended) and may carry `{"wake_at_ms": N}` as payload: the time to launch again at the latest.
Heartbeats leave no row; they only stamp the last contact.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus, TerminationReason

from runtara_core.database import Transaction
from runtara_core.storages.sql.checkpoints import insert_checkpoint
from runtara_core.storages.sql.event_log import append_event
from runtara_core.storages.sql.limits import (
    MAX_ERROR_CHARACTERS,
    require_event_key,
    storable_text,
)
from runtara_core.storages.sql.signals import load_custom_signal
from runtara_core.storages.sql.state import (
    InstanceState,
    change_state,
    lock_current,
    park,
    require_running,
    stamp_contact,
)

_NO_ERROR_TEXT = "the workflow failed without an error text"
_PARKING_REASONS = frozenset(
    {
        TerminationReason.PAUSED,
        TerminationReason.SLEEPING,
        TerminationReason.WAITING_SIGNAL,
        TerminationReason.SHUTDOWN_REQUESTED,
    }
)
_MAX_TIME_MS = 2**53


async def report_event(
    transaction: Transaction, instance_id: str, epoch: int | None, event: InstanceEvent, *, now_ms: int
) -> InstanceStatus:
    """Append the event and make its state change."""
    if event.event_type is EventType.STARTED:
        raise InvalidInputError("event started is written by the registration: an instance cannot report it")
    if event.event_key is not None:
        require_event_key(event.event_key)
    state = await lock_current(transaction, instance_id, epoch)
    if event.event_type is EventType.HEARTBEAT:
        await stamp_contact(transaction, state, now_ms)
        return state.status
    if event.event_key is not None and await transaction.fetch_one(
        "has_event_key", instance_id=instance_id, event_key=event.event_key
    ):
        return state.status
    if event.event_type is EventType.CUSTOM:
        await append_event(transaction, state, event, now_ms=now_ms)
        await stamp_contact(transaction, state, now_ms)
        return state.status
    if _repeats(state, event.event_type):
        return state.status
    require_running(state, f"event {event.event_type}")
    # An output is kept once, with the instance; the event shows it from there.
    logged = replace(event, payload=b"") if event.event_type is EventType.COMPLETED else event
    await append_event(transaction, state, logged, now_ms=now_ms)
    if event.event_type is EventType.SUSPENDED:
        return await _suspend(transaction, state, event, now_ms)
    return await _finish(transaction, state, event, now_ms)


def _repeats(state: InstanceState, event_type: EventType) -> bool:
    """Whether the state is what the same report had made of it before."""
    match event_type:
        case EventType.COMPLETED:
            return state.status is InstanceStatus.COMPLETED
        case EventType.FAILED:
            return state.status is InstanceStatus.FAILED and state.reason is TerminationReason.APPLICATION_ERROR
        case _:
            return state.status is InstanceStatus.SUSPENDED


async def _finish(transaction: Transaction, state: InstanceState, event: InstanceEvent, now_ms: int) -> InstanceStatus:
    if event.event_type is EventType.COMPLETED:
        status, reason = InstanceStatus.COMPLETED, TerminationReason.COMPLETED
        output, error = event.payload or None, None
    else:
        status, reason = InstanceStatus.FAILED, TerminationReason.APPLICATION_ERROR
        output, error = None, _error_text(event.payload)
    await change_state(
        transaction,
        state,
        status,
        reason,
        now_ms=now_ms,
        output=output,
        error=error,
        last_contact_at_ms=now_ms,
    )
    return status


async def _suspend(transaction: Transaction, state: InstanceState, event: InstanceEvent, now_ms: int) -> InstanceStatus:
    wake_at_ms = _requested_wake(event.payload)
    reason = TerminationReason.SUSPENDED if wake_at_ms is None else TerminationReason.SLEEPING
    if event.subtype in _PARKING_REASONS:
        reason = TerminationReason(event.subtype)
    if reason is TerminationReason.WAITING_SIGNAL and event.checkpoint_id:
        # The signal came between the last poll and this report: parking now would miss it.
        if await load_custom_signal(transaction, state.instance_id, event.checkpoint_id) is not None:
            wake_at_ms = now_ms
    elif reason is TerminationReason.SHUTDOWN_REQUESTED:
        wake_at_ms = now_ms
    elif reason is TerminationReason.PAUSED:
        wake_at_ms = None
    if event.checkpoint_id and reason is not TerminationReason.WAITING_SIGNAL:
        await insert_checkpoint(transaction, state, event.checkpoint_id, _state_carried(event.payload), now_ms)
    status, _ = await park(transaction, state, reason, now_ms=now_ms, wake_at_ms=wake_at_ms, last_contact_at_ms=now_ms)
    return status


def _requested_wake(payload: bytes) -> int | None:
    if not payload:
        return None
    try:
        wake_at_ms = json.loads(payload)["wake_at_ms"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    usable = type(wake_at_ms) is int and 0 <= wake_at_ms <= _MAX_TIME_MS
    return wake_at_ms if usable else None


def _state_carried(payload: bytes) -> bytes:
    """The state of the checkpoint that a suspension leaves, base64 in its payload."""
    try:
        return base64.b64decode(json.loads(payload)["state"], validate=True)
    except (ValueError, TypeError, KeyError, RecursionError):
        return b""


def _error_text(payload: bytes) -> str:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return _NO_ERROR_TEXT
    return storable_text(text, MAX_ERROR_CHARACTERS) or _NO_ERROR_TEXT
