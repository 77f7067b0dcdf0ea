"""Files whose content has been compared with a SHA-256, known again by what the file system says of them.

Hashing 60 MB at each launch would double its cost. So a file is hashed when it is first used in the life of a process,
and again once its size, times, inode or mode differ. A byte that flips on the disk changes none of these; the scrub and
the next process find it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

_BLOCK_BYTES = 1024 * 1024

Fingerprint = tuple[int, int, int, int, int]


class VerifiedFiles:
    """What was verified by this process. Used by several threads: each entry is read or replaced at once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Fingerprint]] = {}

    def matches(self, path: Path | str, sha256: str, *, is_sound: Callable[[], bool] | None = None) -> bool:
        """Whether the file has this digest; hashes it, or asks `is_sound`, unless it is known.

        Raises `OSError`, such as for a missing file.
        """
        key = str(path)
        before = fingerprint(key)
        if self._known.get(key) == (sha256, before):
            return True
        self._known.pop(key, None)
        if not (hash_file(key) == sha256 if is_sound is None else is_sound()):
            return False
        # What was written to meanwhile is hashed again the next time, for its times differ from these.
        self._known[key] = (sha256, before)
        return True

    def note(self, path: Path | str, sha256: str) -> None:
        """Say that this process has just written the file with content of this digest."""
        self._known[str(path)] = (sha256, fingerprint(str(path)))

    def forget(self, path: Path | str) -> None:
        """Have the file hashed when it is used next."""
        self._known.pop(str(path), None)

    def forget_below(self, directory: Path) -> None:
        """Have all files of a directory hashed when they are used next."""
        prefix = f"{directory}/"
        for key in [each for each in list(self._known) if each.startswith(prefix)]:
            self._known.pop(key, None)


def fingerprint(path: str) -> Fingerprint:
    """What changes when somebody writes to the file, or puts another one into its place."""
    found = os.lstat(path)
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_mode)


def hash_file(path: Path | str) -> str:
    """The SHA-256 of a file, hexadecimal."""
    with Path(path).open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_stream(stream: IO[bytes]) -> str:
    """The SHA-256 of what is left of a stream, hexadecimal."""
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def copy_hashed(source: BinaryIO, target: BinaryIO, size: int) -> str:
    """Copy `size` bytes; returns the SHA-256 of what came, which may be less."""
    digest = hashlib.sha256()
    while size > 0 and (block := source.read(min(size, _BLOCK_BYTES))):
        digest.update(block)
        target.write(block)
        size -= len(block)
    return digest.hexdigest()
