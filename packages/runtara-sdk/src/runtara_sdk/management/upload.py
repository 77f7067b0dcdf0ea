"""The bytes of an image on their way to an environment: from a file or from any asynchronous source."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.errors import InvalidInputError

CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size in bytes and SHA-256 (lower-case hex) of a file."""

    size: int
    sha256: str


async def digest_file(path: Path) -> FileDigest:
    """Measure a file; raises `InvalidInputError` naming it when it cannot be read."""

    def measure() -> FileDigest:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return FileDigest(file.tell(), digest.hexdigest())

    try:
        return await asyncio.to_thread(measure)
    except OSError as error:
        raise InvalidInputError(f"{path}: {error.strerror or error}: give a file that can be read") from error


async def read_chunks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file in chunks of 64 KiB."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()
