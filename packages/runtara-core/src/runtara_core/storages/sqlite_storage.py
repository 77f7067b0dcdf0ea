"""Durable state in SQLite, with fewer statements for the plain checkpoint.

Whatever else a checkpoint may meet is left to the verb itself, in the same transaction.
"""

from __future__ import annotations

from runtara_sdk.models import CheckpointResult

from runtara_core.database import QuerySet, Transaction
from runtara_core.storages.plain_checkpoints import fits_columns, result_of_plain_checkpoint
from runtara_core.storages.sql import checkpoints
from runtara_core.storages.sql.limits import require_call_key, require_checkpoint_id
from runtara_core.storages.sql.storage import CORE_QUERIES, SqlStorage

SQLITE_QUERIES = CORE_QUERIES.merged(QuerySet.load("runtara_core", "sql/checkpoint_alone.sql"))
"""The queries that the `SqliteDatabase` of an `SqliteStorage` must carry."""


class SqliteStorage(SqlStorage):
    """Durable state in SQLite."""

    async def checkpoint(
        self,
        instance_id: str,
        epoch: int | None,
        checkpoint_id: str,
        state: bytes,
        *,
        now_ms: int,
        call_key: bytes = b"",
    ) -> CheckpointResult:
        require_checkpoint_id(checkpoint_id)
        require_call_key(call_key)
        verb = checkpoint if fits_columns(epoch, now_ms) else checkpoints.checkpoint
        return await self._write(verb, instance_id, epoch, checkpoint_id, state, now_ms=now_ms, call_key=call_key)


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
    """As `runtara_core.storages.sql.checkpoints.checkpoint`."""
    is_plain = await transaction.execute(
        "advance_plain_checkpoint",
        instance_id=instance_id,
        epoch=epoch,
        checkpoint_id=checkpoint_id,
        now_ms=now_ms,
    )
    if not is_plain:
        return await checkpoints.checkpoint(
            transaction, instance_id, epoch, checkpoint_id, state, now_ms=now_ms, call_key=call_key
        )
    await transaction.execute(
        "insert_checkpoint",
        instance_id=instance_id,
        checkpoint_id=checkpoint_id,
        state=state,
        now_ms=now_ms,
        call_key=call_key or None,
    )
    row = await transaction.fetch_one(
        "load_signals_at_checkpoint", instance_id=instance_id, checkpoint_id=checkpoint_id
    )
    assert row is not None  # noqa: S101 - the query has one row whatever is stored
    return result_of_plain_checkpoint(checkpoint_id, row)
