"""An artifact that is given away, compared with its digest on the way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable

from runtara_sdk.errors import StorageError

from runtara_environment.registry import ArtifactContent


async def checked_blocks(content: ArtifactContent, digest: str) -> AsyncGenerator[bytes, None]:
    """The blocks of an artifact of this host; raises `StorageError` at their end when they are damaged."""
    found = hashlib.sha256()
    async for block in content.blocks:
        found.update(block)
        yield block
    if found.hexdigest() != digest:
        raise StorageError("what this host holds of it is damaged: register the image again")


async def has_digest(blocks: AsyncIterable[bytes], digest: str) -> bool:
    """Whether blocks have a SHA-256."""
    found = hashlib.sha256()
    async for block in blocks:
        found.update(block)
    return found.hexdigest() == digest
