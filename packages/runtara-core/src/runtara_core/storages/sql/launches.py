"""Launches: claimed with a lease, renewed while the process lives, and what becomes of an instance when it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence

from runtara_sdk.errors import InstanceNotFoundError
from runtara_sdk.models import InstanceStatus, SignalType, TerminationReason

from runtara_core.database import Transaction
from runtara_core.models import (
    MAX_INLINE_INPUT_BYTES,
    CoreLimits,
    ExitDecision,
    ExitReport,
    LaunchClaim,
    LeaseKey,
    PendingCancel,
    RecoveryPolicy,
)
from runtara_core.storages.sql.limits import (
    MAX_CLAIM_BYTES,
    MAX_ERROR_CHARACTERS,
    MAX_PAGE,
    MAX_STDERR_CHARACTERS,
    storable_text,
)
from runtara_core.storages.sql.state import (
    LASTING_SIGNALS,
    InstanceState,
    change_state,
    close_signal,
    lock_instance,
    most_urgent_signal,
    park,
    require_changed,
    set_progress,
)

_MAX_QUOTED_STDERR = 500
_VANISHED = "its environment vanished"
# Ends that the environment brought about: the program is not to blame, so they count for nothing.
_ENVIRONMENT_REASONS = frozenset({TerminationReason.ENVIRONMENT_RESTART, TerminationReason.SHUTDOWN_REQUESTED})


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
) -> list[LaunchClaim]:
    """Claim due launches, oldest first; settle the running ones whose environment vanished and that shall not go on.

    A lease that expired means that nobody is left to obey a signal, so one that waits takes effect now, however often
    the instance was launched before: a cancel ends it as cancelled, a pause leaves it paused until somebody resumes it.
    A process that lives on after all finds that state at its next call. Only then counts the cap: over it, the instance
    fails as orphaned. Nothing else stands in the way of another launch. A shutdown was meant for the process that is
    gone; custom signals are kept, and the next launch takes them, but they are no progress; the timeout is that of one
    launch, kept by its environment, and begins anew with the next.
    """
    limit = min(limit, MAX_PAGE)
    if limit <= 0:
        return []
    await transaction.fetch_one("lock_admission")
    row = await transaction.fetch_one("count_running")
    room = max(0, limits.max_concurrent_instances - (row["running"] if row is not None else 0))
    if instance_id is None:
        due = await _lock_due(transaction, limit, min(limit, room), now_ms, without_images)
    else:
        due = await _lock_due_instance(transaction, instance_id, room, now_ms, without_images)
    claims: list[LaunchClaim] = []
    for state in due[:limit]:
        claim = await _claim(transaction, state, owner, now_ms + lease_ms, limits.recovery, now_ms)
        if claim is not None:
            claims.append(claim)
        if sum(len(claim.input) for claim in claims) > MAX_CLAIM_BYTES:
            break  # the others stay due
    return claims


async def _lock_due(
    transaction: Transaction, limit: int, room: int, now_ms: int, without_images: Sequence[str]
) -> list[InstanceState]:
    # A running instance whose lease has expired holds its place already, so it needs no room.
    if without_images:
        images = json.dumps(list(without_images))
        rows = list(
            await transaction.fetch_all("lock_expired_leases_elsewhere", now_ms=now_ms, limit=limit, images=images)
        )
        if room:
            rows += await transaction.fetch_all("lock_due_wakes_elsewhere", now_ms=now_ms, limit=room, images=images)
    else:
        rows = list(await transaction.fetch_all("lock_expired_leases", now_ms=now_ms, limit=limit))
        if room:
            rows += await transaction.fetch_all("lock_due_wakes", now_ms=now_ms, limit=room)
    return sorted(map(InstanceState.from_row, rows), key=_due_at_ms)


async def _lock_due_instance(
    transaction: Transaction, instance_id: str, room: int, now_ms: int, without_images: Sequence[str]
) -> list[InstanceState]:
    try:
        state = await lock_instance(transaction, instance_id)
    except InstanceNotFoundError:
        return []
    if not state.is_managed or state.status.is_terminal or _due_at_ms(state) > now_ms:
        return []
    if state.image_id in without_images:
        return []
    return [state] if room or state.status is InstanceStatus.RUNNING else []


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
            error=_VANISHED,
        )
        return True
    # An instance that takes its host down with it must not do so for ever.
    if recoveries <= policy.max_recoveries:
        return False
    error = f"{_VANISHED}; {_gave_up(policy)}"
    await _fail(transaction, state, TerminationReason.ORPHANED, error, now_ms, failed_launches=state.failed_launches)
    return True


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


async def expire_leases(transaction: Transaction, owner: str, *, now_ms: int) -> int:
    """Let a dead owner's leases end now."""
    return await transaction.execute("expire_leases", owner=owner, now_ms=now_ms)


async def report_exit(
    transaction: Transaction, key: LeaseKey, report: ExitReport, *, limits: CoreLimits, now_ms: int
) -> ExitDecision:
    """Decide what the end of a launched process means."""
    state = await lock_instance(transaction, key.instance_id)
    if state.epoch != key.epoch:
        return ExitDecision(state.status, state.wake_at_ms, stale=True)
    await transaction.execute(
        "store_exit",
        instance_id=key.instance_id,
        exit_code=report.exit_code,
        stderr=storable_text(report.stderr_tail, MAX_STDERR_CHARACTERS) or None,
        memory_peak_bytes=report.memory_peak_bytes,
        cpu_usage_usec=report.cpu_usage_usec,
    )
    if state.status is not InstanceStatus.RUNNING:
        return ExitDecision(state.status, state.wake_at_ms)
    error = _describe_exit(report)
    waiting = await most_urgent_signal(transaction, key.instance_id)
    cancelled = waiting is not None and waiting.signal_type is SignalType.CANCEL
    match report.reason:
        case TerminationReason.CANCELLED:
            status = InstanceStatus.CANCELLED
            await change_state(transaction, state, status, TerminationReason.CANCELLED, now_ms=now_ms)
            return ExitDecision(status, None)
        # One that hung, and was cancelled for it, did not fail. A pause excuses nothing.
        case TerminationReason.TIMEOUT | TerminationReason.HEARTBEAT_TIMEOUT if not cancelled:
            return await _fail(transaction, state, report.reason, error, now_ms)
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
            return await _fail(transaction, state, TerminationReason.CRASHED, error, now_ms)
        if state.recovery_attempts >= limits.recovery.max_recoveries:
            error = f"{error}; {_gave_up(limits.recovery)}"
            return await _fail(transaction, state, report.reason, error, now_ms)
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
        return await _fail(transaction, state, TerminationReason.LAUNCH_FAILED, text, now_ms, failed_launches=failures)
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


async def next_wake_at_ms(transaction: Transaction, *, without_images: Sequence[str]) -> int | None:
    """The earliest wake time or lease expiry."""
    if without_images:
        row = await transaction.fetch_one("next_wake_elsewhere", images=json.dumps(list(without_images)))
    else:
        row = await transaction.fetch_one("next_wake")
    if row is None or row["due_at_ms"] is None:
        return None
    return int(row["due_at_ms"])


async def _fail(
    transaction: Transaction,
    state: InstanceState,
    reason: TerminationReason,
    error: str,
    now_ms: int,
    *,
    failed_launches: int = 0,
) -> ExitDecision:
    status = InstanceStatus.FAILED
    await change_state(transaction, state, status, reason, now_ms=now_ms, error=error, failed_launches=failed_launches)
    return ExitDecision(status, None)


def _gave_up(policy: RecoveryPolicy) -> str:
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
