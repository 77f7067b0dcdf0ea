"""Gives artifacts to other hosts, in parts that fit into an answer.

A part is asked for by its offset, so that a transfer may go on after any failure, and from another host. The file stays
open for the next part for a while; whoever asks for another offset pays for reading up to it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from runtara_sdk.clock import Clock
from runtara_sdk.errors import InvalidInputError

from runtara_environment.fetching.peer import ArtifactPart
from runtara_environment.registry import ArtifactStore, ArtifactUnavailableError

PART_BYTES = 4 * 1024 * 1024
_MAX_OPEN = 8
_OPEN_FOR_MS = 60_000
_DIGEST = re.compile("[0-9a-f]{64}")


class ArtifactTransfers:
    """Reads the artifacts of `store` in parts."""

    def __init__(self, store: ArtifactStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._open: dict[tuple[str, int], tuple[AsyncIterator[bytes], bytes, int, int]] = {}

    async def read(self, digest: str, offset: int) -> ArtifactPart:
        """A part from `offset` on; empty behind the end. Raises `InvalidInputError`, `StorageError`."""
        require_digest(digest)
        blocks, rest, size_bytes, _ = self._open.pop((digest, offset), (None, b"", 0, 0))
        if blocks is None:
            try:
                content = await self._store.open(digest)
            except ArtifactUnavailableError:
                return ArtifactPart(found=False, size_bytes=0, content=b"")
            blocks, size_bytes = content.blocks, content.size_bytes
            rest = await _skip(blocks, offset)
        part = bytearray(rest)
        while len(part) < PART_BYTES and (block := await anext(blocks, None)) is not None:
            part += block
        given, rest = bytes(part[:PART_BYTES]), bytes(part[PART_BYTES:])
        if offset + len(given) < size_bytes:
            self._open[digest, offset + len(given)] = (blocks, rest, size_bytes, self._clock.now_ms())
        self._close_old()
        return ArtifactPart(found=True, size_bytes=size_bytes, content=given)

    async def has(self, digest: str, size_bytes: int) -> bool:
        """Whether an artifact of this size is on this host."""
        try:
            return (await self._store.open(digest)).size_bytes == size_bytes
        except ArtifactUnavailableError:
            return False

    def _close_old(self) -> None:
        # What is not referred to any more closes its file.
        now_ms = self._clock.now_ms()
        self._open = {key: kept for key, kept in self._open.items() if abs(now_ms - kept[3]) < _OPEN_FOR_MS}
        while len(self._open) > _MAX_OPEN:
            del self._open[next(iter(self._open))]


def require_digest(digest: str) -> None:
    """Refuse what is no SHA-256 in lower-case hexadecimal digits, before it becomes part of a path."""
    if _DIGEST.fullmatch(digest) is None:
        raise InvalidInputError(f"{digest[:80]!r} is no SHA-256: give 64 lower-case hexadecimal digits")


async def _skip(blocks: AsyncIterator[bytes], offset: int) -> bytes:
    """Leave `offset` bytes out; returns what is left of the block in which they end."""
    left = offset
    while left > 0:
        block = await anext(blocks, None)
        if block is None:
            return b""
        if len(block) > left:
            return block[left:]
        left -= len(block)
    return b""
