"""An upload: written to a file, bounded and hashed on the way, compared with what was announced, and checked."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from runtara_sdk.artifact import ArtifactInfo, inspect_artifact
from runtara_sdk.errors import InvalidInputError

_BUFFER_BYTES = 1024 * 1024


class Upload:
    """One upload, into a file that does not exist yet.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, max_bytes: int, expected_size: int | None, expected_sha256: str | None) -> None:
        """Raises `InvalidInputError` when more is announced than `max_bytes`."""
        self.path = path
        self._max_bytes = max_bytes
        self._expected_size = expected_size
        self._expected_sha256 = None if expected_sha256 is None else expected_sha256.strip()
        if expected_size is not None and expected_size > max_bytes:
            raise self._too_big(expected_size)

    async def receive(self, content: bytes | AsyncIterable[bytes]) -> tuple[str, ArtifactInfo]:
        """Write what comes in; returns its SHA-256 and what it is.

        Raises `InvalidInputError` when it is too big, not what was announced, or no artifact, and `OSError`.
        """
        digest, size = await self._write(content)
        if self._expected_size is not None and size != self._expected_size:
            raise InvalidInputError(
                f"the artifact has {size} bytes, announced were {self._expected_size}: send it again"
            )
        if self._expected_sha256 is not None and self._expected_sha256.lower() != digest:
            raise InvalidInputError(
                f"the artifact has the SHA-256 {digest}, announced was {self._expected_sha256!r}: send it again"
            )
        return digest, await asyncio.to_thread(self._inspect)

    def error_of(self, error: InvalidInputError) -> InvalidInputError:
        """An error without the name of the file, which says nothing to whoever has sent it."""
        return InvalidInputError(error.message.replace(str(self.path), "the artifact"))

    async def _write(self, content: bytes | AsyncIterable[bytes]) -> tuple[str, int]:
        bound = self._max_bytes if self._expected_size is None else self._expected_size
        digest = hashlib.sha256()
        size = 0
        descriptor = await asyncio.to_thread(os.open, self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

        def write(block: bytes) -> None:
            digest.update(block)
            view = memoryview(block)
            while view:
                view = view[os.write(descriptor, view) :]

        try:
            async for block in _blocks(content):
                size += len(block)
                if size > bound:
                    raise self._too_big(size)
                await asyncio.to_thread(write, block)
        finally:
            os.close(descriptor)
        return digest.hexdigest(), size

    def _inspect(self) -> ArtifactInfo:
        try:
            return inspect_artifact(self.path)
        except InvalidInputError as error:
            raise self.error_of(error) from None

    def _too_big(self, size: int) -> InvalidInputError:
        if self._expected_size is None or self._expected_size > self._max_bytes:
            return InvalidInputError(f"the artifact has {size} bytes or more: at most {self._max_bytes} are accepted")
        return InvalidInputError(
            f"the artifact has more than the {self._expected_size} bytes that were announced: send it again"
        )


async def _blocks(content: bytes | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The content in blocks worth a trip to a thread."""
    if isinstance(content, bytes):
        if content:
            yield content
        return
    gathered = bytearray()
    async for chunk in content:
        gathered += chunk
        if len(gathered) >= _BUFFER_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)
