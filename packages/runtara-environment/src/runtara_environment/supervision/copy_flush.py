"""Has a copy of many files survive a power failure, without a flush of the disk for each of them.

`syncfs` flushes all that a file system holds, and so a copy of any number of files at once. It waits for what others
have written, too, so a copy of few files flushes each. It is used where it is known to flush as `fsync` does, and to
tell when that has failed, which Linux does from version 5.8 on; anywhere else each file is flushed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FLUSHED_ALONE = 16
"""Files and directories of a copy that are flushed one by one before all others are flushed at once."""

_REPORTS_FAILURES_SINCE = (5, 8)
_FILE_SYSTEMS = {0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x01021994: "tmpfs"}
_STATFS_BYTES = 1024
"""Room for a `struct statfs` of any machine; it begins with the type of the file system."""


class CopyFlush:
    """The flush of one copy."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._flushed = 0
        self._is_left = False

    @classmethod
    @contextmanager
    def below(cls, directory: Path) -> Iterator[CopyFlush]:
        """For a copy that is made in `directory` within the block. Its end flushes what is left; raises OSError.

        Failures to write are told for what was written since the directory was opened, so it is before the copy begins.
        """
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flush = cls(descriptor if _flushes_at_once(descriptor) else None)
            yield flush
            flush._finish()
        finally:
            os.close(descriptor)

    def add(self, descriptor: int) -> None:
        """Flush a file or directory that is complete, now or with the rest."""
        if self._descriptor is None or self._flushed < _FLUSHED_ALONE:
            os.fsync(descriptor)
            self._flushed += 1
        else:
            self._is_left = True

    def _finish(self) -> None:
        if self._is_left and ctypes.CDLL(None, use_errno=True).syncfs(self._descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _flushes_at_once(descriptor: int) -> bool:
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if os.uname().sysname != "Linux" or release is None or (int(release[1]), int(release[2])) < _REPORTS_FAILURES_SINCE:
        return False
    with contextlib.suppress(AttributeError):  # a library of C without these
        library = ctypes.CDLL(None)
        found = ctypes.create_string_buffer(_STATFS_BYTES)
        if library.syncfs and library.fstatfs(descriptor, found) == 0:
            return ctypes.c_long.from_buffer(found).value in _FILE_SYSTEMS
    return False
