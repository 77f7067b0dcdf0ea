"""Retry attempts: how often the work behind a checkpoint has failed, and when it may be tried again.

They have a table of their own, so a program that starts again neither repeats the failed attempts nor forgets them.
"""

from __future__ import annotations

from dataclasses import replace

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.models import (
    CallProgress,
    InstanceStatus,
    RetryAttempt,
    RetryState,
    SleepOutcome,
    SleepState,
    TerminationReason,
)

from runtara_core.database import Transaction
from runtara_core.retry_events import retry_attempt_event
from runtara_core.storages.sql.checkpoints import get_checkpoint
from runtara_core.storages.sql.event_log import append_event
from runtara_core.storages.sql.limits import (
    MAX_DURATION_MS,
    MAX_ERROR_CHARACTERS,
    require_checkpoint_id,
    storable_text,
)
from runtara_core.storages.sql.state import (
    InstanceState,
    change_state,
    lock_current,
    most_urgent_signal,
    require_current,
    require_running,
    stamp_contact,
)


async def get_progress(
    transaction: Transaction, instance_id: str, checkpoint_id: str, *, now_ms: int, epoch: int | None = None
) -> CallProgress:
    """The stored state or, without one, the attempt that comes next."""
    if epoch is not None:
        instance = await transaction.fetch_one("read_instance_state", instance_id=instance_id)
        if instance is not None:
            require_current(InstanceState.from_row(instance), epoch)
    state = await get_checkpoint(transaction, instance_id, checkpoint_id)
    if state is not None:
        return CallProgress(state=state)
    row = await transaction.fetch_one("load_last_retry_attempt", instance_id=instance_id, checkpoint_id=checkpoint_id)
    if row is None:
        return CallProgress()
    return CallProgress(
        retry=RetryState(
            attempt_number=row["attempt_number"],
            error=row["error"],
            next_attempt_at_ms=row["next_attempt_at_ms"],
            remaining_ms=max(0, row["next_attempt_at_ms"] - now_ms),
            retries_used=row["retries_used"],
            rate_limit_waited_ms=row["rate_limit_waited_ms"],
        )
    )


async def record_retry_attempt(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    checkpoint_id: str,
    attempt: RetryAttempt,
    *,
    suspend_above_ms: int | None,
    now_ms: int,
) -> SleepOutcome:
    """Record that an attempt is about to run, and suspend the instance when that is far away."""
    require_checkpoint_id(checkpoint_id)
    if not 0 <= attempt.wait_ms <= MAX_DURATION_MS:
        raise InvalidInputError(f"retry of {checkpoint_id!r}: {attempt.wait_ms} ms is not a duration")
    instance = await lock_current(transaction, instance_id, epoch)
    row = await transaction.fetch_one(
        "load_retry_attempt",
        instance_id=instance_id,
        checkpoint_id=checkpoint_id,
        attempt_number=attempt.attempt_number,
    )
    next_attempt_at_ms: int = now_ms + attempt.wait_ms if row is None else row["next_attempt_at_ms"]
    remaining_ms = max(0, next_attempt_at_ms - now_ms)
    suspended = SleepOutcome(SleepState.SUSPENDED, next_attempt_at_ms, remaining_ms)
    if (
        row is not None
        and instance.status is InstanceStatus.SUSPENDED
        and instance.reason is TerminationReason.SLEEPING
    ):
        return suspended  # the answer that suspended it was lost and the call repeated
    require_running(instance, "a retry attempt")
    if row is None:
        await _insert(transaction, instance, checkpoint_id, attempt, next_attempt_at_ms, now_ms)
    if (
        suspend_above_ms is not None
        and remaining_ms > suspend_above_ms
        and await most_urgent_signal(transaction, instance_id) is None
    ):
        await change_state(
            transaction,
            instance,
            InstanceStatus.SUSPENDED,
            TerminationReason.SLEEPING,
            now_ms=now_ms,
            wake_at_ms=next_attempt_at_ms,
            recovery_attempts=0 if row is None else instance.recovery_attempts,
            last_contact_at_ms=now_ms,
        )
        return suspended
    await stamp_contact(transaction, instance, now_ms)
    return SleepOutcome(SleepState.WAIT if remaining_ms else SleepState.DONE, next_attempt_at_ms, remaining_ms)


async def _insert(
    transaction: Transaction,
    instance: InstanceState,
    checkpoint_id: str,
    attempt: RetryAttempt,
    next_attempt_at_ms: int,
    now_ms: int,
) -> None:
    if attempt.error is not None:
        attempt = replace(attempt, error=storable_text(attempt.error, MAX_ERROR_CHARACTERS))
    await transaction.execute(
        "insert_retry_attempt",
        instance_id=instance.instance_id,
        checkpoint_id=checkpoint_id,
        attempt_number=attempt.attempt_number,
        error=attempt.error,
        next_attempt_at_ms=next_attempt_at_ms,
        retries_used=attempt.retries_used,
        rate_limit_waited_ms=attempt.rate_limit_waited_ms,
        now_ms=now_ms,
    )
    event = retry_attempt_event(checkpoint_id, attempt, next_attempt_at_ms)
    await append_event(transaction, instance, event, now_ms=now_ms)
