"""The environment's database as a place of artifacts: in chunks, complete once the size is written.

All environments that use the place share the rows of images, so an artifact that none of them names is nobody's. A row
of `stored_artifacts` is locked, and its time of change renewed, by whoever puts the artifact there or relies on finding
it there. A removal asks for an old time, takes the size away first, and then the chunks, a few at a time. So neither
waits for the other for long, and killed anywhere both leave an artifact that counts as not there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from runtara_core.database import Database, Row, Transaction
from runtara_sdk.clock import Clock

from runtara_environment.fetching.checked_content import checked_blocks, has_digest
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.source import MAX_DIGESTS, UNCHANGED_FOR_MS, KeepingSource
from runtara_environment.registry import ArtifactContent, ArtifactUnavailableError

CHUNK_BYTES = 1024 * 1024
_CHUNKS_AT_ONCE = 16
"""Most chunks that one transaction removes."""


class DatabaseSource(KeepingSource):
    """The artifacts in a database."""

    name = "database"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._needed = NeededArtifacts(database)
        self._clock = clock

    async def read(self, digest: str, size_bytes: int, offset: int) -> AsyncGenerator[bytes, None]:
        row = await self._find(digest)
        if row is None or row["size_bytes"] is None:
            raise ArtifactUnavailableError("it is not kept there")
        position, skipped = divmod(offset, CHUNK_BYTES)
        while offset < size_bytes:

            async def work(transaction: Transaction, position: int = position) -> bytes | None:
                row = await transaction.fetch_one("load_artifact_chunk", digest=digest, position=position)
                return None if row is None else bytes(row["content"])

            chunk = await self._database.run(work, operation="load artifact", read_only=True)
            if chunk is None or len(chunk) <= skipped:
                raise ArtifactUnavailableError(f"chunk {position} of it is missing there")
            yield chunk[skipped:]
            offset += len(chunk) - skipped
            position += 1
            skipped = 0

    async def keep(self, digest: str, content: ArtifactContent) -> None:
        if await self._is_found(digest) and await self._is_whole(digest, content.size_bytes):
            return
        position = 0
        pending = bytearray()
        async with aclosing(checked_blocks(content, digest)) as blocks:
            async for block in blocks:
                pending += block
                while len(pending) >= CHUNK_BYTES:
                    await self._store(digest, position, bytes(pending[:CHUNK_BYTES]))
                    del pending[:CHUNK_BYTES]
                    position += 1
        if pending:
            await self._store(digest, position, bytes(pending))

        async def work(transaction: Transaction) -> None:
            await transaction.execute(
                "complete_stored_artifact", digest=digest, size_bytes=content.size_bytes, now_ms=self._clock.now_ms()
            )

        await self._database.run(work, operation="keep artifact")

    async def remove_damaged(self, digest: str, size_bytes: int) -> bool:
        row = await self._find(digest)
        if row is None or row["size_bytes"] is None:
            return True
        if await self._is_whole(digest, size_bytes):
            return False
        seen_ms = row["changed_at_ms"]

        async def work(transaction: Transaction) -> int:
            return await transaction.execute("distrust_stored_artifact", digest=digest, changed_at_ms=seen_ms)

        # Who has changed it meanwhile has put it there anew.
        return await self._database.run(work, operation="remove damaged artifact") > 0

    async def missing(self, digests: Sequence[str]) -> list[str]:
        async def work(transaction: Transaction) -> set[str]:
            rows = await transaction.fetch_all("list_kept_artifacts", digests=json.dumps(list(digests)))
            return {row["digest"] for row in rows}

        kept = await self._database.run(work, operation="kept artifacts", read_only=True)
        return [digest for digest in digests if digest not in kept]

    async def remove_unneeded(self, *, limit: int) -> int:
        before_ms = self._clock.now_ms() - UNCHANGED_FOR_MS
        removed = 0
        after = ""
        while page := await self._old(after, before_ms):
            after = page[-1]
            needed = await self._needed.of(page)
            for digest in page:
                if removed == limit:
                    return removed
                if digest not in needed:
                    removed += await self._remove(digest, before_ms)
            if len(page) < MAX_DIGESTS:
                break
        return removed

    async def _old(self, after: str, before_ms: int) -> list[str]:
        async def work(transaction: Transaction) -> list[str]:
            rows = await transaction.fetch_all(
                "list_old_stored_artifacts", after_digest=after, before_ms=before_ms, page_limit=MAX_DIGESTS
            )
            return [row["digest"] for row in rows]

        return await self._database.run(work, operation="old stored artifacts", read_only=True)

    async def _remove(self, digest: str, before_ms: int) -> bool:
        async def take_size(transaction: Transaction) -> int:
            return await transaction.execute("condemn_stored_artifact", digest=digest, before_ms=before_ms)

        async def remove_chunks(transaction: Transaction) -> int | None:
            if await transaction.fetch_one("lock_condemned_artifact", digest=digest, before_ms=before_ms) is None:
                return None
            removed = await transaction.execute("remove_artifact_chunks", digest=digest, chunk_limit=_CHUNKS_AT_ONCE)
            if removed < _CHUNKS_AT_ONCE:
                await transaction.execute("remove_stored_artifact", digest=digest)
            return removed

        if not await self._database.run(take_size, operation="remove stored artifact"):
            return False
        while True:
            removed = await self._database.run(remove_chunks, operation="remove stored artifact")
            if removed is None:
                return False  # somebody puts it there anew
            if removed < _CHUNKS_AT_ONCE:
                return True

    async def _is_found(self, digest: str) -> bool:
        """Whether it is there; from then on no removal takes it away for an hour."""

        async def work(transaction: Transaction) -> int:
            return await transaction.execute("touch_stored_artifact", digest=digest, now_ms=self._clock.now_ms())

        return await self._database.run(work, operation="find artifact") > 0

    async def _is_whole(self, digest: str, size_bytes: int) -> bool:
        try:
            async with aclosing(self.read(digest, size_bytes, 0)) as blocks:
                return await has_digest(blocks, digest)
        except ArtifactUnavailableError:
            return False

    async def _find(self, digest: str) -> Row | None:
        async def work(transaction: Transaction) -> Row | None:
            return await transaction.fetch_one("get_stored_artifact", digest=digest)

        return await self._database.run(work, operation="find artifact", read_only=True)

    async def _store(self, digest: str, position: int, chunk: bytes) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.execute("begin_stored_artifact", digest=digest, now_ms=self._clock.now_ms())
            await transaction.execute("store_artifact_chunk", digest=digest, position=position, content=chunk)

        await self._database.run(work, operation="keep artifact")
