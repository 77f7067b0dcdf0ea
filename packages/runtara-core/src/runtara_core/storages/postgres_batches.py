"""Checkpoints of many instances in one PostgreSQL statement, so one round trip and one flush serve them all.

Whatever was asked for while the last batch was being committed makes the next one; nothing waits for a batch to fill,
so a lone caller pays one round trip and one flush. A batch decides only the plain case: a running instance, its current
process, an id that nobody used yet. Everything else, whatever the reason, was not touched by the batch and goes the way
of a single checkpoint, which gives the stored state or the exact refusal. So does a batch whose statement failed as a
whole: if its commit did happen, the single checkpoint finds the state stored, by a call with its key or without one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtara_sdk.errors import StorageError
from runtara_sdk.models import CheckpointResult

from runtara_core.database import QuerySet, Row
from runtara_core.database.postgres import PostgresDatabase, StatementFailed
from runtara_core.storages.plain_checkpoints import fits_columns, result_of_plain_checkpoint
from runtara_core.storages.sql.limits import require_call_key, require_checkpoint_id
from runtara_core.storages.sql.storage import CORE_QUERIES, SqlStorage

BATCH_QUERIES = QuerySet.load("runtara_core", "sql/checkpoint_batch.sql")

_MAX_BATCH = 256
_MAX_BATCH_BYTES = 4 * 1024 * 1024
_MAX_BATCHED_STATE_BYTES = 256 * 1024
"""A larger state would hold up the others of its batch for longer than a flush takes."""

_MAX_WAITING = 10_000


@dataclass(slots=True, eq=False)
class _Request:
    instance_id: str
    epoch: int | None
    checkpoint_id: str
    state: bytes
    now_ms: int
    call_key: bytes
    answer: asyncio.Future[CheckpointResult | None]


class CheckpointBatches:
    """Collects checkpoints and commits them together, one batch at a time."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._waiting: deque[_Request] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def checkpoint(
        self, instance_id: str, epoch: int | None, checkpoint_id: str, state: bytes, now_ms: int, call_key: bytes
    ) -> CheckpointResult | None:
        """The result of a checkpoint that was stored; None when it has to be made singly."""
        if (
            len(state) > _MAX_BATCHED_STATE_BYTES
            or len(self._waiting) >= _MAX_WAITING
            or not _storable(instance_id)
            or not _storable(checkpoint_id)
            or not fits_columns(epoch, now_ms)
        ):
            return None
        answer: asyncio.Future[CheckpointResult | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(instance_id, epoch, checkpoint_id, state, now_ms, call_key, answer))
        if self._committing is None:
            # A task of its own: a caller that is cancelled must not take the others of its batch along.
            self._committing = asyncio.create_task(self._commit_waiting(), name="checkpoint batches")
        return await answer

    async def close(self) -> None:
        """Finish what is waiting."""
        if self._committing is not None:
            await asyncio.gather(self._committing, return_exceptions=True)

    async def _commit_waiting(self) -> None:
        taken: list[_Request] = []
        try:
            while self._waiting:
                batch, repeated = self._next_batch()
                taken = [*batch, *repeated]
                if batch:
                    await self._commit(batch)
                _release(taken)
        finally:
            self._committing = None
            # Nobody is left waiting for ever when this task is cancelled.
            _release([*taken, *self._waiting])
            self._waiting.clear()

    def _next_batch(self) -> tuple[list[_Request], list[_Request]]:
        """The next requests, and apart from them those for an id that is among them."""
        batch: list[_Request] = []
        repeated: list[_Request] = []
        keys: set[tuple[str, str]] = set()
        size = 0
        while self._waiting and len(batch) < _MAX_BATCH and size < _MAX_BATCH_BYTES:
            request = self._waiting.popleft()
            key = (request.instance_id, request.checkpoint_id)
            if request.answer.done():
                continue
            if key in keys:
                # The first one wins; this one finds its state when it is made singly, after it.
                repeated.append(request)
                continue
            keys.add(key)
            batch.append(request)
            size += len(request.state)
        return batch, repeated

    async def _store(self, batch: list[_Request]) -> Sequence[Row]:
        if len(batch) == 1:
            alone = batch[0]
            return await self._database.fetch_at_once(
                "checkpoint_alone",
                operation="checkpoint",
                instance_id=alone.instance_id,
                epoch=alone.epoch,
                checkpoint_id=alone.checkpoint_id,
                state=alone.state,
                now_ms=alone.now_ms,
                call_key=alone.call_key or None,
            )
        return await self._database.fetch_at_once(
            "checkpoint_batch",
            operation="checkpoint",
            instance_ids=[request.instance_id for request in batch],
            epochs=[request.epoch for request in batch],
            checkpoint_ids=[request.checkpoint_id for request in batch],
            states=[request.state for request in batch],
            times_ms=[request.now_ms for request in batch],
            call_keys=[request.call_key or None for request in batch],
        )

    async def _commit(self, batch: list[_Request]) -> None:
        try:
            rows = await self._store(batch)
        except StatementFailed:
            rows = []
        except StorageError as error:
            for request in batch:
                if not request.answer.done():
                    # One each: a raised error collects the traceback of whoever awaits it.
                    request.answer.set_exception(StorageError(error.message, retryable=error.retryable))
            return
        for row in rows:
            request = batch[row["position"] - 1]
            if not request.answer.done():
                request.answer.set_result(result_of_plain_checkpoint(request.checkpoint_id, row))


class PostgresStorage(SqlStorage):
    """Durable state in PostgreSQL."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self._batches = CheckpointBatches(database)

    async def close(self) -> None:
        await self._batches.close()
        await super().close()

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
        stored = await self._batches.checkpoint(instance_id, epoch, checkpoint_id, state, now_ms, call_key)
        if stored is not None:
            return stored
        return await super().checkpoint(instance_id, epoch, checkpoint_id, state, now_ms=now_ms, call_key=call_key)


POSTGRES_QUERIES = CORE_QUERIES.merged(BATCH_QUERIES)
"""The queries that the `PostgresDatabase` of a `PostgresStorage` must carry."""


def _release(requests: Iterable[_Request]) -> None:
    """Send those that have no answer yet on their single way."""
    for request in requests:
        if not request.answer.done():
            request.answer.set_result(None)


def _storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
