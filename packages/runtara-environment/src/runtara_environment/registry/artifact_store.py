"""Artifacts on disk: `DATA_DIR/images/SHA256/artifact`, complete and immutable, or not there at all.

An upload is written beside its place, bounded and hashed on the way, checked, flushed and renamed. Killed in the
middle, it leaves a hidden file that a later upload sweeps. The same content again lands on itself, which mends damage.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from runtara_sdk.artifact import inspect_artifact, unpack_native_artifact
from runtara_sdk.artifact.inspection import ArtifactInfo, ArtifactKind
from runtara_sdk.errors import InvalidInputError, StorageError

MAX_ARTIFACT_BYTES = 1024 * 1024 * 1024

_BUFFER_BYTES = 1024 * 1024
_ABANDONED_AFTER_SECONDS = 3600
_UPLOAD_PREFIX = ".upload-"


class ArtifactUnavailableError(StorageError):
    """The artifact of an image is not on this host, or not as it should be. Another host may have it."""


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artifact that is on disk for good."""

    digest: str
    size_bytes: int
    kind: ArtifactKind
    input_schema: str | None = None
    """JSON of the schema that inputs must fit, when the manifest was read just now and tells one."""


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """An artifact to be given out: its size, and its bytes in blocks, which are read as they are asked for."""

    size_bytes: int
    blocks: AsyncIterator[bytes]


class ArtifactStore:
    """The artifacts below one data directory."""

    def __init__(self, data_dir: Path, *, max_artifact_bytes: int = MAX_ARTIFACT_BYTES) -> None:
        self._images = data_dir.absolute() / "images"
        self._layers = data_dir.absolute() / "layers"
        self._max_bytes = max_artifact_bytes

    def path(self, digest: str) -> Path:
        """Where the artifact of a digest is, or would be."""
        return self._images / digest / "artifact"

    async def put(
        self,
        content: bytes | AsyncIterable[bytes],
        *,
        expected_size: int | None = None,
        expected_sha256: str | None = None,
    ) -> StoredArtifact:
        """Store an artifact; the same content again changes nothing.

        Raises `InvalidInputError` when it is too big, does not have the expected size or SHA-256, or is no artifact;
        `StorageError` when the disk fails. Then nothing is kept.
        """
        if expected_size is not None and expected_size > self._max_bytes:
            raise self._too_big(expected_size)
        upload = self._images / f"{_UPLOAD_PREFIX}{uuid.uuid4().hex}"
        try:
            await asyncio.to_thread(self._prepare)
            digest, size = await self._receive(upload, content, expected_size)
            if expected_size is not None and size != expected_size:
                raise InvalidInputError(f"the artifact has {size} bytes, announced were {expected_size}: send it again")
            if expected_sha256 is not None and expected_sha256.strip().lower() != digest:
                raise InvalidInputError(
                    f"the artifact has the SHA-256 {digest}, announced was {expected_sha256.strip()!r}: send it again"
                )
            return await asyncio.to_thread(self._keep, upload, digest, size)
        except OSError as error:
            raise StorageError(f"cannot store the artifact in {self._images}: {error.strerror or error}") from error
        finally:
            await asyncio.to_thread(upload.unlink, missing_ok=True)

    async def open(self, digest: str) -> ArtifactContent:
        """The whole artifact, byte for byte as it was put. Whoever receives it compares its SHA-256 with the digest.

        Raises `ArtifactUnavailableError` when it is not on this host, `StorageError` when the disk fails; so do the
        blocks, when it is removed meanwhile.
        """
        path = self.path(digest)
        try:
            size_bytes = (await asyncio.to_thread(path.stat)).st_size
        except FileNotFoundError:
            raise _missing(digest) from None
        except OSError as error:
            raise StorageError(f"cannot read artifact {digest}: {error.strerror or error}") from error
        return ArtifactContent(size_bytes, _file_blocks(path, digest))

    async def digests(self) -> frozenset[str]:
        """Of the artifacts that are on this host. Raises `StorageError` when the disk fails."""

        def look() -> frozenset[str]:
            try:
                return frozenset(entry.name for entry in self._images.iterdir() if (entry / "artifact").exists())
            except FileNotFoundError:
                return frozenset()

        try:
            return await asyncio.to_thread(look)
        except OSError as error:
            raise StorageError(f"cannot list the artifacts in {self._images}: {error.strerror or error}") from error

    async def command(self, stored: StoredArtifact) -> tuple[str, ...]:
        """The arguments that start a stored artifact on this host.

        Raises `ArtifactUnavailableError` when its file is missing or damaged, `StorageError` when it cannot be
        unpacked.
        """
        try:
            return await asyncio.to_thread(self._command, stored)
        except OSError as error:
            raise StorageError(f"cannot unpack artifact {stored.digest}: {error.strerror or error}") from error

    async def _receive(
        self, upload: Path, content: bytes | AsyncIterable[bytes], expected_size: int | None
    ) -> tuple[str, int]:
        """Write what comes in, at most the bound; returns SHA-256 and size."""
        bound = self._max_bytes if expected_size is None else expected_size
        digest = hashlib.sha256()
        size = 0
        descriptor = await asyncio.to_thread(os.open, upload, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

        def write(block: bytes) -> None:
            digest.update(block)
            view = memoryview(block)
            while view:
                view = view[os.write(descriptor, view) :]

        try:
            async for block in _blocks(content):
                size += len(block)
                if size > bound:
                    raise (
                        self._too_big(size)
                        if expected_size is None
                        else InvalidInputError(
                            f"the artifact has more than the {expected_size} bytes that were announced: send it again"
                        )
                    )
                await asyncio.to_thread(write, block)
            await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)
        return digest.hexdigest(), size

    def _prepare(self) -> None:
        self._images.mkdir(parents=True, exist_ok=True, mode=0o755)
        oldest = time.time() - _ABANDONED_AFTER_SECONDS
        for leftover in self._images.glob(f"{_UPLOAD_PREFIX}*"):
            try:
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()
            except FileNotFoundError:
                continue

    def _keep(self, upload: Path, digest: str, size: int) -> StoredArtifact:
        try:
            info = inspect_artifact(upload)
            if info.kind == "native":
                unpack_native_artifact(upload, self._layers)
        except InvalidInputError as error:
            raise InvalidInputError(error.message.replace(str(upload), "the artifact")) from None
        upload.chmod(0o555)
        target = self.path(digest)
        target.parent.mkdir(exist_ok=True, mode=0o755)
        for directory in (self._images, target.parent):
            directory.chmod(0o755)  # whatever the umask is: programs may run as other users
        upload.rename(target)
        for directory in (target.parent, self._images):
            _flush_directory(directory)
        return StoredArtifact(digest, size, info.kind, _input_schema(info))

    def _command(self, stored: StoredArtifact) -> tuple[str, ...]:
        path = self.path(stored.digest)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise ArtifactUnavailableError(f"{path} is missing on this host: register the image here again") from None
        if size != stored.size_bytes:
            raise ArtifactUnavailableError(
                f"{path} is damaged: it has {size} bytes instead of {stored.size_bytes}: register the image again"
            )
        if stored.kind == "native":
            try:
                return tuple(unpack_native_artifact(path, self._layers).command)
            except InvalidInputError as error:
                # It was read as a whole when it was registered.
                raise ArtifactUnavailableError(f"damaged: {error.message}: register the image again") from None
        if stored.kind == "python":
            # Isolated: neither the run directory nor the user's packages come into the program's way.
            return (sys.executable, "-I", "-u", str(path))
        return (str(path),)

    def _too_big(self, size: int) -> InvalidInputError:
        return InvalidInputError(f"the artifact has {size} bytes or more: at most {self._max_bytes} are accepted")


def _input_schema(info: ArtifactInfo) -> str | None:
    document = None if info.manifest is None else info.manifest.get("inputSchema")
    return json.dumps(document) if isinstance(document, dict) else None


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


async def _file_blocks(path: Path, digest: str) -> AsyncIterator[bytes]:
    try:
        file = await asyncio.to_thread(path.open, "rb")
        with file:
            while block := await asyncio.to_thread(file.read, _BUFFER_BYTES):
                yield block
    except FileNotFoundError:
        raise _missing(digest) from None
    except OSError as error:
        raise StorageError(f"cannot read artifact {digest}: {error.strerror or error}") from error


def _missing(digest: str) -> ArtifactUnavailableError:
    return ArtifactUnavailableError(f"artifact {digest} is missing on this host: register the image here again")


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
