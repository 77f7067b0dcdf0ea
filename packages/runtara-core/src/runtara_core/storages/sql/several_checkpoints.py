"""Several checkpoints of one instance in one transaction, each decided as if it came alone, after those before it.

What they share is done once: the lock of the instance, its progress, the signals that wait.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from runtara_sdk.errors import AnswerTooLargeError
from runtara_sdk.models import CheckpointResult, CustomSignal, NewCheckpoint

from runtara_core.database import Transaction
from runtara_core.storage import MAX_FOUND_BYTES
from runtara_core.storages.sql.checkpoints import find_checkpoint
from runtara_core.storages.sql.limits import require_new_checkpoints
from runtara_core.storages.sql.state import lock_current, most_urgent_signal, require_running, stamp_contact


async def checkpoints(
    transaction: Transaction,
    instance_id: str,
    epoch: int | None,
    new: Sequence[NewCheckpoint],
    *,
    now_ms: int,
) -> list[CheckpointResult]:
    """As `runtara_core.storages.sql.checkpoints.checkpoint` for one after the other, all or nothing."""
    require_new_checkpoints(new)
    instance = await lock_current(transaction, instance_id, epoch)
    require_running(instance, "a checkpoint")
    found: list[bytes | None] = []
    stored_ids: list[str] = []
    found_bytes = 0
    for each in new:
        inserted = await transaction.execute(
            "insert_checkpoint",
            instance_id=instance_id,
            checkpoint_id=each.checkpoint_id,
            state=each.state,
            now_ms=now_ms,
            call_key=each.call_key or None,
        )
        if inserted:
            stored_ids.append(each.checkpoint_id)
            found.append(None)
            continue
        state = await find_checkpoint(transaction, instance_id, each.checkpoint_id, each.call_key)
        found_bytes += len(state or b"")
        if found_bytes > MAX_FOUND_BYTES:
            raise AnswerTooLargeError(
                f"what {len(new)} checkpoints have found is more than {MAX_FOUND_BYTES} bytes: ask for fewer at once"
            )
        found.append(state)
    if stored_ids:
        await transaction.execute(
            "advance_checkpoint",
            instance_id=instance_id,
            checkpoint_id=stored_ids[-1],
            stored=len(stored_ids),
            now_ms=now_ms,
        )
    elif instance.contact_is_old(now_ms):
        await stamp_contact(transaction, instance, now_ms)
    signal = await most_urgent_signal(transaction, instance_id)
    custom = await _custom_signals(transaction, instance_id, new)
    return [
        CheckpointResult(state is not None, state or b"", signal, custom.get(each.checkpoint_id))
        for each, state in zip(new, found, strict=True)
    ]


async def _custom_signals(
    transaction: Transaction, instance_id: str, new: Sequence[NewCheckpoint]
) -> dict[str, CustomSignal]:
    rows = await transaction.fetch_all(
        "load_custom_signals",
        instance_id=instance_id,
        checkpoint_ids=json.dumps([each.checkpoint_id for each in new]),
    )
    return {row["checkpoint_id"]: CustomSignal(row["checkpoint_id"], payload=row["payload"]) for row in rows}
