"""Retries and forks: an ended instance that goes on, and a new one that begins with records of another."""

from __future__ import annotations

import json
from dataclasses import replace

from runtara_sdk.errors import InstanceExistsError, InvalidInputError, InvalidStateError

from runtara_core.database import Transaction
from runtara_core.models import ForkedInstance, InstanceFork, RetriedInstance
from runtara_core.restarts import (
    MAX_FORKED_CHECKPOINTS,
    copied_checkpoints,
    earlier_fork,
    fork_event_key,
    forked_event,
    require_retriable,
    retried_event,
    retry_event_key,
)
from runtara_core.storages.sql.event_log import append_event
from runtara_core.storages.sql.limits import require_checkpoint_id, require_event_key, require_instance_id
from runtara_core.storages.sql.retention import first_epoch
from runtara_core.storages.sql.state import InstanceState, lock_instance, require_changed, set_progress

_BATCH = 200
"""Checkpoints that one statement copies."""


async def retry_instance(
    transaction: Transaction, instance_id: str, *, retry_key: str | None, now_ms: int
) -> RetriedInstance:
    """Let an ended instance go on where it ended."""
    if retry_key is not None:
        require_event_key(retry_event_key(retry_key))
    state = await lock_instance(transaction, instance_id)
    if retry_key is not None and await transaction.fetch_one(
        "has_event_key", instance_id=instance_id, event_key=retry_event_key(retry_key)
    ):
        return RetriedInstance(instance_id, deduplicated=True)
    require_retriable(instance_id, state.status)
    end = await transaction.fetch_one("load_end", instance_id=instance_id)
    if end is None:
        raise AssertionError("the row of a locked instance is gone")
    changed = await transaction.execute(
        "enter_retry",
        instance_id=instance_id,
        epoch=state.epoch,
        from_status=state.status,
        new_epoch=state.epoch + 1,
        # One that no environment launches goes on when its program is started again.
        wake_at_ms=now_ms if state.is_managed else None,
    )
    require_changed(state, changed)
    await set_progress(transaction, state, last_contact_at_ms=state.last_contact_at_ms, recovery_attempts=0)
    await transaction.execute("forget_signals", instance_id=instance_id)
    await transaction.execute("forget_failed_attempts", instance_id=instance_id)
    event = retried_event(state.status, state.reason, end["error"], end["finished_at_ms"], retry_key)
    await append_event(transaction, replace(state, epoch=state.epoch + 1), event, now_ms=now_ms)
    return RetriedInstance(instance_id, deduplicated=False)


async def fork_instance(transaction: Transaction, fork: InstanceFork, *, now_ms: int) -> ForkedInstance:
    """Insert a pending instance that has what another recorded before a step."""
    require_instance_id(fork.instance_id)
    if fork.image_id == "":
        raise InvalidInputError("image_id must not be empty: leave it out for the image of the origin")
    # Locked, so that nothing is recorded between the look at the checkpoints and their copy.
    origin = await lock_instance(transaction, fork.origin_id)
    if origin.image_id is None:
        raise InvalidStateError(
            f"instance {fork.origin_id} was started by its own program: no image and no input are known to fork it"
        )
    image_id = fork.image_id or origin.image_id
    # Read and not locked: two forks that name each other's origin must not wait for each other.
    taken = await transaction.fetch_one("read_instance_state", instance_id=fork.instance_id)
    if taken is None:
        new_ids, count = await _plan(transaction, fork)
        last_copied = next(reversed(new_ids), None)
        forked = ForkedInstance(fork.instance_id, False, len(new_ids), count - len(new_ids), last_copied)
        if fork.dry_run:
            return forked
        if await _insert(transaction, fork, origin, image_id, now_ms):
            await _copy_records(transaction, fork, new_ids)
            state = await lock_instance(transaction, fork.instance_id)
            await append_event(transaction, state, forked_event(fork, forked), now_ms=now_ms)
            return forked
        taken = await transaction.fetch_one("read_instance_state", instance_id=fork.instance_id)
    event = await transaction.fetch_one(
        "load_event_payload", instance_id=fork.instance_id, event_key=fork_event_key(fork)
    )
    same = taken is not None and (taken["tenant_id"], taken["image_id"]) == (origin.tenant_id, image_id)
    if not same or event is None:
        raise InstanceExistsError(f"instance id {fork.instance_id} is taken: choose another")
    return earlier_fork(fork.instance_id, event["payload"])


async def _plan(transaction: Transaction, fork: InstanceFork) -> tuple[dict[str, str], int]:
    """The checkpoints to copy, with the ids that they get, and the number of all that the origin has."""
    end = await transaction.fetch_one("load_end", instance_id=fork.origin_id)
    recorded = await transaction.fetch_all(
        "recorded_checkpoints", instance_id=fork.origin_id, limit=MAX_FORKED_CHECKPOINTS + 1
    )
    attempted = await transaction.fetch_all("first_attempts", instance_id=fork.origin_id)
    new_ids = copied_checkpoints(
        fork,
        {row["checkpoint_id"]: row["created_at_ms"] for row in recorded},
        {row["checkpoint_id"]: row["created_at_ms"] for row in attempted},
        None if end is None else end["error"],
    )
    for new_id in new_ids.values():
        require_checkpoint_id(new_id)
    return new_ids, len(recorded)


async def _insert(
    transaction: Transaction, fork: InstanceFork, origin: InstanceState, image_id: str, now_ms: int
) -> bool:
    """Insert the rows that every instance has; false when another transaction has taken the id meanwhile."""
    inserted = await transaction.execute(
        "insert_instance",
        instance_id=fork.instance_id,
        tenant_id=origin.tenant_id,
        image_id=image_id,
        epoch=await first_epoch(transaction),
        now_ms=now_ms,
        wake_at_ms=now_ms if fork.due else None,
    )
    if not inserted:
        return False
    await transaction.execute(
        "copy_input", instance_id=fork.instance_id, origin_id=fork.origin_id, launch_options=fork.launch_options
    )
    return True


async def _copy_records(transaction: Transaction, fork: InstanceFork, new_ids: dict[str, str]) -> None:
    """Copy checkpoints, sleeps and attempts under their new ids."""
    pairs = [{"old_id": old_id, "new_id": new_id} for old_id, new_id in new_ids.items()]
    for begin in range(0, len(pairs), _BATCH):
        names = json.dumps(pairs[begin : begin + _BATCH])
        ids = {"instance_id": fork.instance_id, "origin_id": fork.origin_id, "copied": names}
        await transaction.execute("copy_checkpoints", **ids)
        await transaction.execute("copy_sleeps", **ids)
        await transaction.execute("copy_retry_attempts", **ids)
    if pairs:
        await transaction.execute(
            "set_copied_progress",
            instance_id=fork.instance_id,
            checkpoint_id=pairs[-1]["new_id"],
            checkpoint_count=len(pairs),
        )
