"""Large values that follow a request on its stream: received whole, within a bound of bytes held at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from runtara_sdk.errors import InvalidInputError, ServerError

UPLOAD_SECONDS = 120.0
"""Time that an upload may take: one that stands still holds room that others wait for."""

_WAIT_SECONDS = 30.0


class UploadRoom:
    """How many bytes of uploads are held at a time.

    Args:
        total_bytes: the bound, half of it for one sender that is named. One upload alone may be larger.
        wait_seconds: how long an upload waits for room. What it has not read, its sender holds.
    """

    def __init__(self, total_bytes: int, *, wait_seconds: float = _WAIT_SECONDS) -> None:
        self._total_bytes = total_bytes
        self._wait_seconds = wait_seconds
        self._held: Counter[str] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, size: int, sender: str = "") -> AsyncIterator[None]:
        """Hold room for an upload. Raises `ServerError`, retryable, when there is none in time."""
        try:
            async with asyncio.timeout(self._wait_seconds), self._freed:
                await self._freed.wait_for(lambda: self._has_room(size, sender))
                self._held[sender] += size
        except TimeoutError:
            raise ServerError(
                f"inputs of {self._total_bytes} bytes are being received already: start again in a while",
                code="TOO_MANY_STARTS",
                retryable=True,
            ) from None
        try:
            yield
        finally:
            self._held[sender] -= size
            self._held += Counter()  # forgets those that hold nothing
            async with self._freed:
                self._freed.notify_all()

    def _has_room(self, size: int, sender: str) -> bool:
        own, total = self._held[sender], self._held.total()
        if sender and own and own + size > self._total_bytes // 2:
            return False
        return not total or total + size <= self._total_bytes


async def receive(chunks: AsyncIterator[bytes], size: int) -> bytes:
    """All chunks; raises `InvalidInputError` when they are not as many bytes as were announced."""
    received = bytearray()
    async for chunk in chunks:
        received += chunk
        if len(received) > size:
            raise InvalidInputError(f"the input has more than the {size} bytes that were announced: send it again")
    if len(received) != size:
        raise InvalidInputError(f"the input has {len(received)} bytes, announced were {size}: send it again")
    return bytes(received)


async def parts_of(data: bytes, *, part_bytes: int = 256 * 1024) -> AsyncIterator[bytes]:
    """A value as chunks to send."""
    for start in range(0, len(data), part_bytes):
        yield data[start : start + part_bytes]
