"""Launches after their claim: leases that are renewed, and what becomes of an instance when its process ends."""

from __future__ import annotations

from collections.abc import Sequence

from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

from runtara_core.database import Transaction
from runtara_core.models import (
    CoreLimits,
    ExitDecision,
    ExitReport,
    LastContact,
    LeaseKey,
    PendingCancel,
    RecoveryPolicy,
)
from runtara_core.storages.sql.limits import (
    MAX_ERROR_CHARACTERS,
    MAX_PAGE,
    MAX_STDERR_CHARACTERS,
    storable_text,
)
from runtara_core.storages.sql.state import (
    LASTING_SIGNALS,
    InstanceState,
    change_state,
    lock_instance,
    most_urgent_signal,
    park,
)

_MAX_QUOTED_STDERR = 500
VANISHED = "its environment vanished"
# Ends that the environment brought about: the program is not to blame, so they count for nothing.
_ENVIRONMENT_REASONS = frozenset({TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED})


async def renew_leases(
    transaction: Transaction, owner: str, keys: Sequence[LeaseKey], *, lease_ms: int, now_ms: int
) -> list[LeaseKey]:
    """Extend leases; returns those that are lost."""
    lost = []
    # Always in the same order, so that two owners never wait for each other in a circle.
    for key in sorted(set(keys), key=lambda key: key.instance_id):
        renewed = await transaction.execute(
            "renew_lease",
            instance_id=key.instance_id,
            epoch=key.epoch,
            owner=owner,
            lease_until_ms=now_ms + lease_ms,
        )
        if not renewed:
            lost.append(key)
    return lost


async def pending_cancels(transaction: Transaction, owner: str, *, limit: int, now_ms: int) -> list[PendingCancel]:
    """Cancels that the launches of an owner have not obeyed yet."""
    rows = await transaction.fetch_all("pending_cancels", owner=owner, limit=max(0, min(limit, MAX_PAGE)))
    return [PendingCancel(row["instance_id"], row["epoch"], max(0, now_ms - row["created_at_ms"])) for row in rows]


async def last_contacts(
    transaction: Transaction, owner: str, *, after_instance_id: str, limit: int
) -> list[LastContact]:
    """When the launches of an owner were heard of."""
    rows = await transaction.fetch_all(
        "last_contacts", owner=owner, after_instance_id=after_instance_id, limit=max(0, min(limit, MAX_PAGE))
    )
    return [LastContact(row["instance_id"], row["epoch"], row["last_contact_at_ms"]) for row in rows]


async def expire_leases(transaction: Transaction, owner: str) -> int:
    """Give up a dead owner's leases."""
    return await transaction.execute("expire_leases", owner=owner)


async def report_exit(
    transaction: Transaction, key: LeaseKey, report: ExitReport, *, limits: CoreLimits, now_ms: int
) -> ExitDecision:
    """Decide what the end of a launched process means."""
    state = await lock_instance(transaction, key.instance_id)
    if key.epoch <= state.epoch:
        await _add_usage(transaction, key, report)
    if state.epoch != key.epoch:
        return ExitDecision(state.status, state.wake_at_ms, stale=True)
    await transaction.execute(
        "store_exit",
        instance_id=key.instance_id,
        exit_code=report.exit_code,
        stderr=storable_text(report.stderr_tail, MAX_STDERR_CHARACTERS) or None,
    )
    if state.status is not InstanceStatus.RUNNING:
        return ExitDecision(state.status, state.wake_at_ms)
    error = _describe_exit(report)
    waiting = await most_urgent_signal(transaction, key.instance_id)
    cancelled = waiting is not None and waiting.signal_type is SignalType.CANCEL
    match report.reason:
        case TerminationReason.CANCELLED:
            status = InstanceStatus.CANCELLED
            if waiting is not None:  # it can be obeyed by nobody any more
                await transaction.execute("acknowledge_waiting_signals", instance_id=key.instance_id, now_ms=now_ms)
            await change_state(transaction, state, status, TerminationReason.CANCELLED, now_ms=now_ms)
            return ExitDecision(status, None)
        # One that took too long, and was cancelled for it, did not fail. A pause excuses nothing.
        case TerminationReason.TIMEOUT if not cancelled:
            return await fail(transaction, state, report.reason, error, now_ms)
    if report.reason in _ENVIRONMENT_REASONS:
        status, wake_at_ms = await park(
            transaction, state, report.reason, now_ms=now_ms, wake_at_ms=now_ms, error=error
        )
        return ExitDecision(status, wake_at_ms)
    silent = report.reason is TerminationReason.CRASHED and report.exit_code == 0
    if silent and waiting is not None and waiting.signal_type is SignalType.SHUTDOWN:
        # It ended because it was told to, and could not say so.
        status, wake_at_ms = await park(
            transaction, state, TerminationReason.SHUTDOWN_REQUESTED, now_ms=now_ms, wake_at_ms=now_ms
        )
        return ExitDecision(status, wake_at_ms)
    if waiting is None or waiting.signal_type not in LASTING_SIGNALS:
        if silent and not await _obeyed_withdrawn_pause(transaction, state):
            return await fail(transaction, state, TerminationReason.CRASHED, error, now_ms)
        if state.recovery_attempts >= limits.recovery.max_recoveries:
            error = f"{error}; {gave_up(limits.recovery)}"
            return await fail(transaction, state, report.reason, error, now_ms)
    recoveries = state.recovery_attempts + 1
    status, wake_at_ms = await park(
        transaction,
        state,
        report.reason,
        now_ms=now_ms,
        wake_at_ms=now_ms + limits.recovery.backoff_ms(recoveries),
        recovery_attempts=recoveries,
        error=error,
    )
    return ExitDecision(status, wake_at_ms)


async def _add_usage(transaction: Transaction, key: LeaseKey, report: ExitReport) -> None:
    """Count what a launch has used, once, also when a later launch has begun by now."""
    used = {"memory_peak_bytes": report.memory_peak_bytes, "cpu_usage_usec": report.cpu_usage_usec}
    if all(value is None for value in used.values()):
        return
    if await transaction.execute("insert_launch_usage", instance_id=key.instance_id, epoch=key.epoch, **used):
        await transaction.execute("add_usage", instance_id=key.instance_id, **used)


async def _obeyed_withdrawn_pause(transaction: Transaction, state: InstanceState) -> bool:
    """Whether the process may have ended for a pause of its launch that was withdrawn, and could not say so."""
    row = await transaction.fetch_one("load_signal", instance_id=state.instance_id, signal_type=SignalType.PAUSE)
    closed_at_ms = None if row is None else row["acknowledged_at_ms"]
    return closed_at_ms is not None and closed_at_ms >= (state.started_at_ms or 0)


async def report_launch_failure(
    transaction: Transaction,
    key: LeaseKey,
    error: str,
    *,
    permanent: bool,
    limits: CoreLimits,
    now_ms: int,
    is_due: bool,
) -> ExitDecision:
    """Give a claim back, or give up."""
    state = await lock_instance(transaction, key.instance_id)
    if state.epoch != key.epoch:
        return ExitDecision(state.status, state.wake_at_ms, stale=True)
    if state.status is not InstanceStatus.RUNNING:
        return ExitDecision(state.status, state.wake_at_ms)
    failures = state.failed_launches + (not is_due)
    text = storable_text(error, MAX_ERROR_CHARACTERS) or "the launch failed without an error text"
    waiting = await most_urgent_signal(transaction, key.instance_id)
    cancelled = waiting is not None and waiting.signal_type is SignalType.CANCEL
    if permanent and not cancelled:
        return await fail(transaction, state, TerminationReason.LAUNCH_FAILED, text, now_ms, failed_launches=failures)
    status, wake_at_ms = await park(
        transaction,
        state,
        TerminationReason.LAUNCH_FAILED,
        # One that never ran is still waiting for its first launch.
        status=InstanceStatus.PENDING if state.started_at_ms is None else InstanceStatus.SUSPENDED,
        now_ms=now_ms,
        # Unlike a crash, a failed launch has done nothing: trying again at once would fail the same way.
        wake_at_ms=now_ms if is_due else now_ms + limits.recovery.backoff_ms(failures + 1),
        failed_launches=failures,
        error=text,
    )
    return ExitDecision(status, wake_at_ms)


async def fail(
    transaction: Transaction,
    state: InstanceState,
    reason: TerminationReason,
    error: str,
    now_ms: int,
    *,
    failed_launches: int = 0,
) -> ExitDecision:
    """End an instance as failed."""
    status = InstanceStatus.FAILED
    await change_state(transaction, state, status, reason, now_ms=now_ms, error=error, failed_launches=failed_launches)
    return ExitDecision(status, None)


def gave_up(policy: RecoveryPolicy) -> str:
    """Say that an instance is not launched any more."""
    return f"launched again {policy.max_recoveries} times in a row without a new checkpoint"


def _describe_exit(report: ExitReport) -> str:
    code = report.exit_code
    match report.reason:
        case TerminationReason.TIMEOUT:
            text = "the process ran longer than its timeout and was stopped"
        case TerminationReason.HEARTBEAT_TIMEOUT:
            text = "the process was not heard of for too long and was stopped"
        case TerminationReason.ENVIRONMENT_RESTART:
            text = "the process ended with its environment"
        case TerminationReason.OUT_OF_MEMORY:
            text = "the program ran out of memory and was killed"
        case TerminationReason.SHUTDOWN_REQUESTED:
            text = "the process was stopped with its environment"
        case _ if code is None:
            text = "the process ended for an unknown reason"
        case _ if code == 0:
            text = "the process exited without reporting a result"
        case _ if code < 0:
            text = f"the process was killed by signal {-code}"
        case _:
            text = f"the process exited with code {code}"
    tail = storable_text(report.stderr_tail, MAX_STDERR_CHARACTERS).strip()
    if tail:
        text = f"{text}: {tail.splitlines()[-1][-_MAX_QUOTED_STDERR:]}"
    return text
