"""Copies of what a program has written, made by a daemon that may read more than the program.

The program may run meanwhile, and may have put links anywhere. So none is followed, on no level: each directory and
file is opened by its name in a directory that is open already. Copies of root have the owners of their originals, which
gives nobody what the owner had not.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from runtara_environment.supervision.copy_flush import CopyFlush

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 200
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Work:
    """What all parts of a copy have in common."""

    flush: CopyFlush
    ends: threading.Event

    def require_going_on(self) -> None:
        if self.ends.is_set():
            raise OSError(errno.ECANCELED, "the copy was ended")


def has_entries(directory: Path, *, without: str) -> bool:
    """Whether a directory holds more than the entry `without`; a link to one does not count."""
    try:
        descriptor = os.open(directory, _OPEN | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        return any(name != without for name in os.listdir(descriptor))  # noqa: PTH208 - of a descriptor
    finally:
        os.close(descriptor)


def copy_directory(source: Path, target: Path, *, without: str, ends: threading.Event | None = None) -> None:
    """Copy a directory to a place where nothing is, durably, but for its entry `without`.

    Files, directories and links are copied, sockets and pipes left out. The name `target` itself is not flushed. Raises
    OSError that names the file, also soon after `ends` is set; what is there by then stays.
    """
    try:
        descriptor = os.open(source, _OPEN | os.O_DIRECTORY)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(source)) from None
    try:
        with CopyFlush.below(target.parent) as flush:
            work = _Work(flush, ends or threading.Event())
            _copy_directory(work, descriptor, source, target, {without}, depth=0)
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or str(target)) from None
    finally:
        os.close(descriptor)


def _copy_directory(work: _Work, source: int, path: Path, target: Path, left_out: set[str], *, depth: int) -> None:
    if depth > _DEEPEST:
        raise OSError(errno.ELOOP, f"more than {_DEEPEST} directories inside of each other", str(path))
    target.mkdir(mode=0o700)
    for name in os.listdir(source):
        if name in left_out:
            continue
        try:
            work.require_going_on()
            _copy_entry(work, source, name, path, target, depth=depth)
        except OSError as error:
            raise OSError(error.errno, error.strerror, error.filename or str(path / name)) from None
    status = os.fstat(source)
    descriptor = os.open(target, _OPEN | os.O_DIRECTORY)
    try:
        if os.geteuid() == 0:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        work.flush.add(descriptor)
    finally:
        os.close(descriptor)


def _copy_entry(work: _Work, source: int, name: str, path: Path, target: Path, *, depth: int) -> None:
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        (target / name).symlink_to(os.readlink(name, dir_fd=source))
        if os.geteuid() == 0:
            os.chown(target / name, status.st_uid, status.st_gid, follow_symlinks=False)
        return
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        return
    descriptor = os.open(name, _OPEN, dir_fd=source)
    try:
        status = os.fstat(descriptor)  # of what has been opened, which may be something else by now
        if stat.S_ISDIR(status.st_mode):
            _copy_directory(work, descriptor, path / name, target / name, set(), depth=depth + 1)
        elif stat.S_ISREG(status.st_mode):
            _copy_file(work, descriptor, status, target / name)
    finally:
        os.close(descriptor)


def _copy_file(work: _Work, source: int, status: os.stat_result, target: Path) -> None:
    descriptor = os.open(target, _CREATE, 0o600)
    try:
        _copy_content(source, descriptor, status.st_size, work.require_going_on)
        if os.geteuid() == 0:
            os.fchown(descriptor, status.st_uid, status.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
        work.flush.add(descriptor)
    finally:
        os.close(descriptor)


def _copy_content(source: int, target: int, size: int, require_going_on: Callable[[], None]) -> None:
    """Copy what there is of the first `size` bytes: holes stay holes, and what the program adds meanwhile is left."""
    position = 0
    while position < size:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
            end = min(size, os.lseek(source, position, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                break
            raise
        while position < end and (block := os.pread(source, min(_BLOCK_BYTES, end - position), position)):
            require_going_on()
            view = memoryview(block)
            while view:
                written = os.pwrite(target, view, position)
                position += written
                view = view[written:]
        if position < end:  # it has been cut meanwhile
            return
    os.ftruncate(target, size)
