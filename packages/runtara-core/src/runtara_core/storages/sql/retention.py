"""Removal of instances that finished long ago.

Epochs must not begin anew under an id that is used again, or what is left of the removed instance (a token, a process)
would pass for the new one's. So a removal raises the epoch that new instances begin with above all that it removes.
Creations share a lock on that number and a removal excludes them: none reads it between the raise and the removal.
"""

from __future__ import annotations

from runtara_core.database import Database, Transaction
from runtara_core.storages.sql.limits import MAX_PAGE

_PAGES_OF_A_STEP = 256
_MAX_STEPS = 64


async def delete_finished(transaction: Transaction, *, finished_before_ms: int, limit: int) -> int:
    """Remove at most `limit` instances, the oldest first, with all that belongs to them."""
    limit = min(limit, MAX_PAGE)
    if limit <= 0:
        return 0
    await transaction.fetch_one("lock_first_epoch")
    rows = await transaction.fetch_all("lock_finished", finished_before_ms=finished_before_ms, limit=limit)
    if not rows:
        return 0
    await transaction.execute("raise_first_epoch", epoch=max(row["epoch"] for row in rows) + 1)
    deleted = 0
    for row in rows:
        deleted += await transaction.execute(
            "delete_finished_instance", instance_id=row["instance_id"], finished_before_ms=finished_before_ms
        )
    return deleted


async def first_epoch(transaction: Transaction) -> int:
    """The epoch that an instance created in this transaction begins with."""
    row = await transaction.fetch_one("read_first_epoch")
    if row is None:
        raise AssertionError("table first_epochs has lost its row")
    return int(row["epoch"])


async def shrink(database: Database) -> None:
    """Give free pages of an SQLite file back, in steps short enough for others to get in between."""
    free = await database.run(_free_pages, operation="shrink", read_only=True)
    for _ in range(_MAX_STEPS):
        if free <= 0:
            return
        left = await database.run(_reclaim, operation="shrink")
        if left >= free:
            return  # the file was made without room for this
        free = left


async def _reclaim(transaction: Transaction) -> int:
    # Page by page: the driver runs this statement no further than its first step.
    for _ in range(min(_PAGES_OF_A_STEP, await _free_pages(transaction))):
        await transaction.execute("reclaim_page")
    return await _free_pages(transaction)


async def _free_pages(transaction: Transaction) -> int:
    row = await transaction.fetch_one("count_free_pages")
    return 0 if row is None else int(row["freelist_count"])
