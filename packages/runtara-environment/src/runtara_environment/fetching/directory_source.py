"""A directory that several hosts see, such as a network file system: `DIRECTORY/SHA256`, complete or not there."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path

from runtara_sdk.errors import StorageError

from runtara_environment.fetching.source import KeepingSource
from runtara_environment.registry import ArtifactContent, ArtifactUnavailableError
from runtara_environment.registry.durable_files import flush_directory

_BLOCK_BYTES = 1024 * 1024
_PREFIX = ".upload-"
_ABANDONED_AFTER_SECONDS = 3600


class DirectorySource(KeepingSource):
    """The artifacts in a directory."""

    def __init__(self, directory: Path) -> None:
        self.name = f"directory {directory}"
        self._directory = directory

    async def read(self, digest: str, size_bytes: int) -> AsyncGenerator[bytes, None]:
        path = self._directory / digest
        try:
            file = await asyncio.to_thread(path.open, "rb")
            with file:
                while block := await asyncio.to_thread(file.read, _BLOCK_BYTES):
                    yield block
        except FileNotFoundError:
            raise ArtifactUnavailableError("it has no such file") from None
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error

    async def keep(self, digest: str, content: ArtifactContent) -> None:
        path = self._directory / digest
        temporary = self._directory / f"{_PREFIX}{uuid.uuid4().hex}"
        try:
            if await asyncio.to_thread(_has_size, path, content.size_bytes):
                return
            await asyncio.to_thread(self._prepare)
            file = await asyncio.to_thread(temporary.open, "xb")
            with file:
                async for block in content.blocks:
                    await asyncio.to_thread(file.write, block)
                await asyncio.to_thread(file.flush)
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(temporary.replace, path)
            await asyncio.to_thread(flush_directory, self._directory)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
        finally:
            await asyncio.to_thread(temporary.unlink, missing_ok=True)

    def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - _ABANDONED_AFTER_SECONDS
        for leftover in self._directory.glob(f"{_PREFIX}*"):
            try:
                if leftover.stat().st_mtime < oldest:
                    leftover.unlink()
            except FileNotFoundError:
                continue


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except FileNotFoundError:
        return False
