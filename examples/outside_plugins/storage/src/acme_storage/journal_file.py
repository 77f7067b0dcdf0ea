"""The file of a journal: entries behind each other, each with its length and its checksum.

An entry that a death has cut short is the last one, and nobody was told of it; it is cut off when the file is opened. A
journal belongs to one process at a time. The lock is the kernel's, so it ends with its holder.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from runtara_sdk.errors import StorageError

_HEADER = struct.Struct("<II")


class JournalFile:
    """An open journal. `OSError`s become `StorageError`s that name the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = self._synced = 0
        self._failure: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"the journal {path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise StorageError(f"another process has the journal {path}: stop it first") from error

    def entries(self) -> Iterator[bytes]:
        """The entries from the first to the last one that is whole; afterwards `append` may be called."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            while len(header := file.read(_HEADER.size)) == _HEADER.size:
                length, checksum = _HEADER.unpack(header)
                entry = file.read(length)
                if len(entry) < length or zlib.crc32(entry) != checksum:
                    break
                self._written += len(header) + length
                yield entry
        os.ftruncate(self._file, self._written)
        os.lseek(self._file, self._written, os.SEEK_SET)

    def append(self, entry: bytes) -> None:
        """Write an entry behind the others; `flush` makes it durable."""
        data = _HEADER.pack(len(entry), zlib.crc32(entry)) + entry
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
        except OSError as error:
            self._fail(error)
        self._written += len(data)

    async def flush(self) -> None:
        """Return once everything that was appended before the call is on the disk."""
        target = self._written
        if self._synced < target:
            try:
                await asyncio.to_thread(os.fdatasync, self._file)
            except OSError as error:
                self._fail(error)
            self._synced = max(self._synced, target)

    def require_usable(self) -> None:
        """Raise the failure of an earlier write: since then memory knows more than the disk."""
        if self._failure is not None:
            raise StorageError(self._failure)

    def close(self) -> None:
        """Let go of the file and of its lock."""
        os.close(self._file)

    def _fail(self, error: OSError) -> None:
        self._failure = f"the journal {self._path} cannot be written: {error.strerror or error}; open it again"
        raise StorageError(self._failure) from error
