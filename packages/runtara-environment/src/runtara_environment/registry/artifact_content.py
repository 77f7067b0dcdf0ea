"""Artifacts that are given out, byte for byte as they were put."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from runtara_sdk.errors import StorageError

from runtara_environment.registry.artifact_files import Segment
from runtara_environment.registry.layer_store import ArtifactUnavailableError

_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """An artifact to be given out: its size, and its bytes in blocks, which are read as they are asked for."""

    size_bytes: int
    blocks: AsyncIterator[bytes]

    @classmethod
    def of(cls, segments: Sequence[Segment], digest: str) -> ArtifactContent:
        """What lies in these parts of files. Reading raises `ArtifactUnavailableError`, or `StorageError`."""
        return cls(sum(segment.size for segment in segments), _blocks_of(segments, digest))


def missing_artifact(digest: str) -> ArtifactUnavailableError:
    """The artifact is not on this host."""
    return ArtifactUnavailableError(f"artifact {digest} is missing on this host: register the image here again")


async def _blocks_of(segments: Sequence[Segment], digest: str) -> AsyncIterator[bytes]:
    try:
        for segment in segments:
            left = segment.size
            file = await asyncio.to_thread(segment.path.open, "rb")
            with file:
                file.seek(segment.offset)
                while left > 0:
                    block = await asyncio.to_thread(file.read, min(left, _BUFFER_BYTES))
                    if not block:
                        raise ArtifactUnavailableError(f"{segment.path} is damaged: it is too short")
                    left -= len(block)
                    yield block
    except FileNotFoundError:
        raise missing_artifact(digest) from None
    except OSError as error:
        raise StorageError(f"cannot read artifact {digest}: {error.strerror or error}") from error
