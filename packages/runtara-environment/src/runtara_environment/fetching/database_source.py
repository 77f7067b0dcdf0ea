"""The environment's database as a place of artifacts: in chunks, complete once the size is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from runtara_core.database import Database, Transaction
from runtara_sdk.clock import Clock

from runtara_environment.fetching.source import KeepingSource
from runtara_environment.registry import ArtifactContent, ArtifactUnavailableError

CHUNK_BYTES = 1024 * 1024


class DatabaseSource(KeepingSource):
    """The artifacts in a database."""

    name = "database"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        if await self._size(digest) is None:
            raise ArtifactUnavailableError("it is not kept there")
        position = received = 0
        while received < size_bytes:

            async def work(transaction: Transaction, position: int = position) -> bytes | None:
                row = await transaction.fetch_one("load_artifact_chunk", digest=digest, position=position)
                return None if row is None else bytes(row["content"])

            chunk = await self._database.run(work, operation="load artifact", read_only=True)
            if chunk is None:
                raise ArtifactUnavailableError(f"chunk {position} of it is missing there")
            yield chunk
            position += 1
            received += len(chunk)

    async def keep(self, digest: str, content: ArtifactContent) -> None:
        if await self._size(digest) is not None:
            return
        position = 0
        pending = bytearray()
        async for block in content.blocks:
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

    async def _size(self, digest: str) -> int | None:
        async def work(transaction: Transaction) -> int | None:
            row = await transaction.fetch_one("get_stored_artifact", digest=digest)
            return None if row is None else row["size_bytes"]

        return await self._database.run(work, operation="find artifact", read_only=True)

    async def _store(self, digest: str, position: int, chunk: bytes) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.execute("begin_stored_artifact", digest=digest, now_ms=self._clock.now_ms())
            await transaction.execute("store_artifact_chunk", digest=digest, position=position, content=chunk)

        await self._database.run(work, operation="keep artifact")
