"""Small files of the daemon's in places where a program may have put something else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlainFileError(OSError):
    """There is a link, a directory, a pipe, a socket or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "not a plain file", str(path))


def read_plain_file(path: Path, limit_bytes: int) -> bytes:
    """The content of a file, cut at `limit_bytes`. Never waits; raises `NotPlainFileError`, OSError."""
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise NotPlainFileError(path) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotPlainFileError(path)
        content = b""
        while len(content) < limit_bytes and (block := os.read(descriptor, limit_bytes - len(content))):
            content += block
        return content
    finally:
        os.close(descriptor)
