"""Checkpoints of many instances in one PostgreSQL statement, so one round trip and one flush serve them all.

Whatever was asked for while the last batch was being committed makes the next one; nothing waits for a batch to fill,
so a lone caller pays one round trip and one flush. A batch decides only the plain case: a running instance, its current
process, an id that nobody used yet. Everything else, whatever the reason, was not touched by the batch and goes the way
of a single checkpoint, which gives the stored state or the exact refusal. So does a batch whose statement failed as a
whole: if its commit did happen, the single checkpoint finds the state stored, by a call with its key or without one.

Several checkpoints of one call are in one batch, or in none. Either their instance is refused as a whole, or each of
them is decided: one that was not stored is there already. It is looked up in a transaction afterwards, which stores
nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runtara_sdk.errors import StorageError
from runtara_sdk.models import CheckpointResult, NewCheckpoint

from runtara_core.database import QuerySet, Row
from runtara_core.database.postgres import PostgresDatabase, StatementFailed
from runtara_core.storages.plain_checkpoints import fits_columns, result_of_plain_checkpoint
from runtara_core.storages.sql.limits import (
    is_storable,
    require_call_key,
    require_checkpoint_id,
    require_new_checkpoints,
)
from runtara_core.storages.sql.storage import CORE_QUERIES, SqlStorage

BATCH_QUERIES = QuerySet.load("runtara_core", "sql/checkpoint_batch.sql")

_MAX_BATCH = 256
_MAX_BATCH_BYTES = 4 * 1024 * 1024
_MAX_BATCHED_STATE_BYTES = 256 * 1024
"""A larger state would hold up the others of its batch for longer than a flush takes."""

_MAX_WAITING = 10_000


@dataclass(slots=True, eq=False)
class _Request:
    """The checkpoints of one call; the answer has None for each that needs a transaction of its own."""

    instance_id: str
    epoch: int | None
    new: Sequence[NewCheckpoint]
    now_ms: int
    answer: asyncio.Future[list[CheckpointResult | None]]


class CheckpointBatches:
    """Collects checkpoints and commits them together, one batch at a time."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._waiting: deque[_Request] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def store(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint], now_ms: int
    ) -> list[CheckpointResult | None]:
        """The result of each checkpoint that was stored; None for one that has to be made in a transaction of its own.

        Those that are left of a call of which some were stored are there already.
        """
        if (
            len(self._waiting) >= _MAX_WAITING
            or not is_storable(instance_id)
            or not fits_columns(epoch, now_ms)
            or not _fit_batch(new)
        ):
            return [None] * len(new)
        answer: asyncio.Future[list[CheckpointResult | None]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(instance_id, epoch, new, now_ms, answer))
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
        """The next requests, and apart from them those with an id that is among theirs."""
        batch: list[_Request] = []
        repeated: list[_Request] = []
        keys: set[tuple[str, str]] = set()
        count = size = 0
        while self._waiting and count < _MAX_BATCH and size < _MAX_BATCH_BYTES:
            request = self._waiting.popleft()
            if request.answer.done():
                continue
            own = {(request.instance_id, each.checkpoint_id) for each in request.new}
            if not keys.isdisjoint(own):
                # The first one wins; this one finds its state when it is made singly, after it.
                repeated.append(request)
                continue
            keys |= own
            batch.append(request)
            count += len(request.new)
            size += sum(len(each.state) for each in request.new)
        return batch, repeated

    async def _store(self, rows: Sequence[tuple[_Request, int]]) -> Sequence[Row]:
        if len(rows) == 1:
            ((request, index),) = rows
            alone = request.new[index]
            return await self._database.fetch_at_once(
                "checkpoint_alone",
                operation="checkpoint",
                instance_id=request.instance_id,
                epoch=request.epoch,
                checkpoint_id=alone.checkpoint_id,
                state=alone.state,
                now_ms=request.now_ms,
                call_key=alone.call_key or None,
            )
        return await self._database.fetch_at_once(
            "checkpoint_batch",
            operation="checkpoint",
            instance_ids=[request.instance_id for request, _ in rows],
            epochs=[request.epoch for request, _ in rows],
            checkpoint_ids=[request.new[index].checkpoint_id for request, index in rows],
            states=[request.new[index].state for request, index in rows],
            times_ms=[request.now_ms for request, _ in rows],
            call_keys=[request.new[index].call_key or None for request, index in rows],
        )

    async def _commit(self, batch: list[_Request]) -> None:
        rows = [(request, index) for request in batch for index in _first_of_each_id(request.new)]
        try:
            stored = await self._store(rows)
        except StatementFailed:
            return
        except StorageError as error:
            for request in batch:
                if not request.answer.done():
                    # One each: a raised error collects the traceback of whoever awaits it.
                    request.answer.set_exception(StorageError(error.message, retryable=error.retryable))
            return
        results: dict[_Request, list[CheckpointResult | None]] = {}
        for row in stored:
            request, index = rows[row["position"] - 1]
            own = results.get(request)
            if own is None:
                own = results[request] = [None] * len(request.new)
            own[index] = result_of_plain_checkpoint(request.new[index].checkpoint_id, row)
        for request, own in results.items():
            if not request.answer.done():
                request.answer.set_result(own)


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
        (stored,) = await self._batches.store(
            instance_id, epoch, [NewCheckpoint(checkpoint_id, state, call_key)], now_ms
        )
        if stored is not None:
            return stored
        return await super().checkpoint(instance_id, epoch, checkpoint_id, state, now_ms=now_ms, call_key=call_key)

    async def checkpoints(
        self, instance_id: str, epoch: int | None, new: Sequence[NewCheckpoint], *, now_ms: int
    ) -> list[CheckpointResult]:
        require_new_checkpoints(new)
        stored = await self._batches.store(instance_id, epoch, new, now_ms)
        left = [each for each, result in zip(new, stored, strict=True) if result is None]
        found = iter(await super().checkpoints(instance_id, epoch, left, now_ms=now_ms) if left else [])
        return [next(found) if result is None else result for result in stored]


POSTGRES_QUERIES = CORE_QUERIES.merged(BATCH_QUERIES)
"""The queries that the `PostgresDatabase` of a `PostgresStorage` must carry."""


def _release(requests: Iterable[_Request]) -> None:
    """Send those that have no answer yet on their single way."""
    for request in requests:
        if not request.answer.done():
            request.answer.set_result([None] * len(request.new))


def _fit_batch(new: Sequence[NewCheckpoint]) -> bool:
    sizes = [len(each.state) for each in new]
    return (
        max(sizes) <= _MAX_BATCHED_STATE_BYTES
        and sum(sizes) <= _MAX_BATCH_BYTES
        and all(is_storable(each.checkpoint_id) for each in new)
    )


def _first_of_each_id(new: Sequence[NewCheckpoint]) -> Iterable[int]:
    """Where each id comes first: whatever comes after it under this id finds it."""
    first: dict[str, int] = {}
    for index, each in enumerate(new):
        first.setdefault(each.checkpoint_id, index)
    return first.values()
