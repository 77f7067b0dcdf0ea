"""The state of an instance inside a transaction, and the changes of it that several verbs make.

Every verb locks the row first, decides on what it read, and writes with a statement that names the epoch and status it
left. So two verbs on one instance take turns, on either database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runtara_sdk.errors import InstanceNotFoundError, InvalidStateError, StaleEpochError
from runtara_sdk.models import InstanceStatus, Signal, SignalType, TerminationReason

from runtara_core.database import Row, Transaction

CONTACT_RESOLUTION_MS = 10_000
"""A contact that changes nothing else is stored only when the stored one is this old."""

LASTING_SIGNALS = frozenset({SignalType.CANCEL, SignalType.PAUSE})
"""Those that still have an effect when the process is gone; the end of the process is all that a shutdown asks for."""

_PRECEDENCE = (SignalType.CANCEL, SignalType.PAUSE, SignalType.SHUTDOWN, SignalType.RESUME)


@dataclass(frozen=True, slots=True)
class InstanceState:
    """The part of an instance's row that decisions are made on."""

    instance_id: str
    tenant_id: str
    image_id: str | None
    status: InstanceStatus
    reason: TerminationReason | None
    epoch: int
    checkpoint_id: str | None
    recovery_attempts: int
    failed_launches: int
    started_at_ms: int | None
    wake_at_ms: int | None
    last_contact_at_ms: int | None
    lease_until_ms: int | None

    @property
    def is_managed(self) -> bool:
        """Whether an environment launches it."""
        return self.image_id is not None

    def contact_is_old(self, now_ms: int) -> bool:
        """Whether a contact now is worth storing."""
        last = self.last_contact_at_ms
        return last is None or abs(now_ms - last) >= CONTACT_RESOLUTION_MS

    @classmethod
    def from_row(cls, row: Row) -> InstanceState:
        reason = row["termination_reason"]
        return cls(
            instance_id=row["instance_id"],
            tenant_id=row["tenant_id"],
            image_id=row["image_id"],
            status=InstanceStatus(row["status"]),
            reason=None if reason is None else TerminationReason(reason),
            epoch=row["epoch"],
            checkpoint_id=row["checkpoint_id"],
            recovery_attempts=row["recovery_attempts"],
            failed_launches=row["failed_launches"],
            started_at_ms=row["started_at_ms"],
            wake_at_ms=row["wake_at_ms"],
            last_contact_at_ms=row["last_contact_at_ms"],
            lease_until_ms=row["lease_until_ms"],
        )


async def lock_instance(transaction: Transaction, instance_id: str) -> InstanceState:
    """The state of an instance, which no other transaction changes until this one ends."""
    row = await transaction.fetch_one("lock_instance", instance_id=instance_id)
    if row is None:
        raise InstanceNotFoundError(f"instance {instance_id} does not exist")
    return InstanceState.from_row(row)


async def lock_current(transaction: Transaction, instance_id: str, epoch: int | None) -> InstanceState:
    """Like `lock_instance`, for a caller that must be the instance's current process."""
    state = await lock_instance(transaction, instance_id)
    require_current(state, epoch)
    return state


def require_current(state: InstanceState, epoch: int | None) -> None:
    """Refuse a process that a newer launch has replaced."""
    if epoch is None:
        if state.is_managed:
            raise StaleEpochError(
                f"instance {state.instance_id} is launched by an environment: its calls must carry the launch's epoch"
            )
    elif epoch != state.epoch:
        raise StaleEpochError(
            f"instance {state.instance_id} is at epoch {state.epoch}, the call came from epoch {epoch}"
        )


def require_running(state: InstanceState, verb: str) -> None:
    """Refuse a verb that only a running instance may use."""
    if state.status is not InstanceStatus.RUNNING:
        raise InvalidStateError(f"instance {state.instance_id} is {state.status}: {verb} needs a running one")


def require_unfinished(state: InstanceState, verb: str) -> None:
    """Refuse a verb that comes too late."""
    if state.status.is_terminal:
        raise InvalidStateError(f"instance {state.instance_id} is {state.status} already: {verb} comes too late")


async def stamp_contact(transaction: Transaction, state: InstanceState, now_ms: int) -> None:
    """Store when the instance was last heard of."""
    await transaction.execute("stamp_contact", instance_id=state.instance_id, now_ms=now_ms)


async def set_progress(
    transaction: Transaction, state: InstanceState, *, last_contact_at_ms: int | None, recovery_attempts: int
) -> None:
    """Store when the instance was last heard of, and how often it was launched again without progress."""
    if (last_contact_at_ms, recovery_attempts) != (state.last_contact_at_ms, state.recovery_attempts):
        await transaction.execute(
            "set_progress",
            instance_id=state.instance_id,
            last_contact_at_ms=last_contact_at_ms,
            recovery_attempts=recovery_attempts,
        )


async def change_state(
    transaction: Transaction,
    state: InstanceState,
    status: InstanceStatus,
    reason: TerminationReason | None,
    *,
    now_ms: int,
    wake_at_ms: int | None = None,
    **columns: Any,
) -> None:
    """Leave `state` for a status other than running.

    `columns` overrides what is kept or emptied otherwise: output, error, recovery_attempts, failed_launches,
    last_contact_at_ms.
    """
    recovery_attempts = columns.pop("recovery_attempts", state.recovery_attempts)
    last_contact_at_ms = columns.pop("last_contact_at_ms", state.last_contact_at_ms)
    out_of_memory = reason is TerminationReason.OUT_OF_MEMORY
    changed = await transaction.execute(
        "enter_state",
        instance_id=state.instance_id,
        epoch=state.epoch,
        from_status=state.status,
        status=status,
        termination_reason=TerminationReason.CRASHED if out_of_memory else reason,
        wake_at_ms=wake_at_ms,
        finished_at_ms=now_ms if status.is_terminal else None,
        output=columns.pop("output", None),
        error=columns.pop("error", None),
        failed_launches=columns.pop("failed_launches", state.failed_launches),
    )
    if columns:
        raise TypeError(f"unknown columns: {', '.join(columns)}")
    require_changed(state, changed)
    if out_of_memory:
        await transaction.execute("mark_out_of_memory", instance_id=state.instance_id)
    await set_progress(transaction, state, last_contact_at_ms=last_contact_at_ms, recovery_attempts=recovery_attempts)


def require_changed(state: InstanceState, changed: int) -> None:
    """The compare-and-set of a change of state must have found the state that was locked."""
    if changed != 1:
        raise InvalidStateError(f"instance {state.instance_id} changed its state meanwhile")


async def park(
    transaction: Transaction,
    state: InstanceState,
    reason: TerminationReason,
    *,
    now_ms: int,
    wake_at_ms: int | None,
    status: InstanceStatus = InstanceStatus.SUSPENDED,
    **columns: Any,
) -> tuple[InstanceStatus, int | None]:
    """Leave running for a state that no process belongs to; returns the status and wake time that came of it.

    A cancel or pause that still waits takes effect now, for nobody is left to obey it later; none waits afterwards.
    """
    waiting = await most_urgent_signal(transaction, state.instance_id)
    if waiting is not None and waiting.signal_type is SignalType.CANCEL:
        status, reason, wake_at_ms = InstanceStatus.CANCELLED, TerminationReason.CANCELLED, None
    elif waiting is not None and waiting.signal_type is SignalType.PAUSE:
        status, reason, wake_at_ms = InstanceStatus.SUSPENDED, TerminationReason.PAUSED, None
    if waiting is not None:
        await transaction.execute("acknowledge_waiting_signals", instance_id=state.instance_id, now_ms=now_ms)
    await change_state(transaction, state, status, reason, now_ms=now_ms, wake_at_ms=wake_at_ms, **columns)
    return status, wake_at_ms


async def most_urgent_signal(transaction: Transaction, instance_id: str) -> Signal | None:
    """The unacknowledged signal of highest precedence."""
    waiting = {
        SignalType(row["signal_type"]): row
        for row in await transaction.fetch_all("load_waiting_signals", instance_id=instance_id)
    }
    for signal_type in _PRECEDENCE:
        row = waiting.get(signal_type)
        if row is not None:
            return Signal(signal_type, payload=row["payload"], signal_id=row["id"])
    return None


async def close_signal(transaction: Transaction, instance_id: str, signal_type: SignalType, now_ms: int) -> None:
    """Mark a waiting signal as acknowledged; nothing happens when none waits."""
    await transaction.execute("acknowledge_signal", instance_id=instance_id, signal_type=signal_type, now_ms=now_ms)
