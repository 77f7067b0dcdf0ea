"""The files that the output of a launch is in, as its shim keeps them, read without trusting the program.

A stream is `NAME.log`, and, once it has outgrown its bound, `NAME.log.1` with what was there before. The first line of
the latter says how many bytes of the stream lie before `NAME.log`. While the shim moves output, there is
`NAME.log.1.tmp`, and nothing is read.

The directory is the program's to change. So each part of the path is opened from the directory above it, symbolic links
are not followed, and what is no plain file with one name is not read.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtara_environment import shim

_TRIES = 40
_PAUSE_SECONDS = 0.005
_TAIL_BLOCK_BYTES = 64 * 1024
_MOST_TAIL_BYTES = 256 * 1024 * 1024
"""How far back the newest lines are looked for: a program can make its file look as long as it likes."""
_MOST_LAUNCHES = 1_000
_LARGEST_OFFSET = 2**53
_LAUNCH = re.compile(r"launch-(\d{1,18})")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class OutputPart:
    """A part of a stream.

    Attributes:
        offset: bytes of the stream before `data`.
        data: the bytes.
        end: bytes of the stream so far.
        first: bytes of the stream that are not kept any more.
    """

    offset: int
    data: bytes
    end: int
    first: int


def launch_epochs(run_directory: Path) -> list[int]:
    """The newest launches whose files are in a run directory, oldest first, at most `_MOST_LAUNCHES`."""
    try:
        with _opened(run_directory, _DIRECTORY) as directory, os.scandir(directory) as entries:
            matches = (_LAUNCH.fullmatch(entry.name) for entry in entries)
            # A program can make millions of names, so they are not all kept at a time.
            newest = heapq.nlargest(_MOST_LAUNCHES, (int(match.group(1)) for match in matches if match is not None))
    except OSError:
        return []
    return newest[::-1]


def has_exit(run_directory: Path, epoch: int) -> bool:
    """Whether the shim of a launch has reported its end."""
    try:
        with _launch_directory(run_directory, epoch) as directory:
            os.stat(shim.EXIT_FILE, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def read_output(
    run_directory: Path, epoch: int, stream: str, *, offset: int | None, tail_lines: int | None, limit_bytes: int
) -> OutputPart:
    """A part of a stream: from an offset on, or its newest lines, or its beginning as far as that is kept.

    Raises `FileNotFoundError` when there are no files of the launch, `OSError` when they cannot be read.
    """
    name = f"{stream}.log"
    for attempt in range(_TRIES):
        with _launch_directory(run_directory, epoch) as directory:
            is_last = attempt == _TRIES - 1  # a shim that was killed while it moved output never goes on
            if not is_last and _exists(directory, name + shim.ROTATED_SUFFIX + ".tmp"):
                time.sleep(_PAUSE_SECONDS)
                continue
            part = _read(directory, name, offset, tail_lines, limit_bytes, is_last=is_last)
        if part is not None:
            return part
        time.sleep(_PAUSE_SECONDS)
    raise FileNotFoundError(f"the output of launch {epoch} changes faster than it can be read")


def read_tail(run_directory: Path, epoch: int, stream: str, limit_bytes: int) -> bytes:
    """The newest bytes of a stream; nothing when they cannot be read."""
    try:
        end = read_output(run_directory, epoch, stream, offset=None, tail_lines=None, limit_bytes=0).end
        start = max(0, end - limit_bytes)
        return read_output(run_directory, epoch, stream, offset=start, tail_lines=None, limit_bytes=limit_bytes).data
    except OSError:
        return b""


def _read(
    directory: int, name: str, offset: int | None, tail_lines: int | None, limit_bytes: int, *, is_last: bool
) -> OutputPart | None:
    """A part of a stream, or None when output was moved meanwhile."""
    rotated = name + shim.ROTATED_SUFFIX
    with _plain_file(directory, rotated) as older, _plain_file(directory, name) as newer:
        pieces = _Pieces(older, newer)
        if tail_lines is not None:
            offset = pieces.start_of_lines(tail_lines)
        start = pieces.first if offset is None else offset
        if not pieces.first <= start <= pieces.end:
            start = pieces.first if start < pieces.first else pieces.base
        data = pieces.read(start, limit_bytes)
        moved = _exists(directory, rotated + ".tmp") or _identity(directory, rotated) != pieces.older_identity
        return None if moved and not is_last else OutputPart(start, data, pieces.end, pieces.first)


class _Pieces:
    """The open files of a stream."""

    def __init__(self, older: int | None, newer: int | None) -> None:
        self._older = older
        self._newer = newer
        self.older_identity: tuple[int, int] | None = None
        self.base = 0
        older_size = 0
        if older is not None:
            found = os.fstat(older)
            self.older_identity = (found.st_dev, found.st_ino)
            older_size = max(0, found.st_size - shim.HEADER_BYTES)
            self.base = _base(older)
        self.first = max(0, self.base - older_size)
        self.end = self.base + (0 if newer is None else os.fstat(newer).st_size)

    def read(self, offset: int, limit_bytes: int) -> bytes:
        data = b""
        if self._older is not None and offset < self.base:
            count = min(limit_bytes, self.base - offset)
            data = os.pread(self._older, count, shim.HEADER_BYTES + offset - self.first)
            if len(data) < count:
                return data
        rest = limit_bytes - len(data)
        if self._newer is not None and rest > 0:
            data += os.pread(self._newer, min(rest, max(0, self.end - offset)), max(0, offset + len(data) - self.base))
        return data

    def start_of_lines(self, count: int) -> int:
        """Where the newest lines begin; at most `_MOST_TAIL_BYTES` before the end."""
        start = self.end
        first = max(self.first, self.end - _MOST_TAIL_BYTES)
        left = count + 1  # the end of the last line is no beginning of another
        if count and self.read(max(first, self.end - 1), 1) != b"\n":
            left = count
        while start > first and count:
            block_start = max(first, start - _TAIL_BLOCK_BYTES)
            block = self.read(block_start, start - block_start)
            ends = block.count(b"\n")
            if ends >= left:
                place = len(block)
                for _ in range(left):
                    place = block.rindex(b"\n", 0, place)
                return block_start + place + 1
            left -= ends
            start = block_start
        return start


def _base(older: int) -> int:
    header = os.pread(older, shim.HEADER_BYTES, 0).strip()
    base = int(header) if header.isdigit() else 0
    return base if base <= _LARGEST_OFFSET else 0  # the program may have written it


@contextlib.contextmanager
def _opened(path: Path | str, flags: int, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _launch_directory(run_directory: Path, epoch: int) -> Iterator[int]:
    with _opened(run_directory, _DIRECTORY) as above, _opened(f"launch-{epoch}", _DIRECTORY, above) as directory:
        if os.fstat(directory).st_uid != os.geteuid():  # a program has made it, maybe of links to others' files
            raise FileNotFoundError(errno.ENOENT, "no launch has made this directory", f"launch-{epoch}")
        yield directory


@contextlib.contextmanager
def _plain_file(directory: int, name: str) -> Iterator[int | None]:
    """The open file, or None when there is none, or something else in its place."""
    try:
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        yield descriptor if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else None
    finally:
        os.close(descriptor)


def _exists(directory: int, name: str) -> bool:
    return _identity(directory, name) is not None


def _identity(directory: int, name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)
