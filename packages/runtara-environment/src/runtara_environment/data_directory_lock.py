"""One environment for each data directory: two would take each other's run directories for their own.

The lock is of the kernel and ends with its holder, however that ends. The file tells who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from runtara_sdk.errors import ConfigurationError

LOCK_NAME = "environment.lock"

_LONGEST_DESCRIPTION = 4096


class DataDirectoryLock:
    """The lock of a data directory, held until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, data_dir: Path) -> DataDirectoryLock:
        """Take the lock; raises `ConfigurationError` that names who holds it."""
        path = data_dir / LOCK_NAME
        try:
            data_dir.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be opened: {error.strerror}; make the data directory (DATA_DIR) writable"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _describe(os.pread(descriptor, _LONGEST_DESCRIPTION, 0))
            os.close(descriptor)
            raise ConfigurationError(
                f"the data directory {data_dir} belongs to another environment that runs: {holder}; "
                "stop it, or give this one a DATA_DIR of its own"
            ) from None
        began = datetime.now(UTC).isoformat(timespec="seconds")
        own = {"pid": os.getpid(), "host": socket.gethostname(), "started": began}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(own).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let the next environment have the directory."""
        os.close(self._descriptor)


def _describe(content: bytes) -> str:
    try:
        holder = json.loads(content)
        return f"process {holder['pid']} on {holder['host']}, started {holder['started']}"
    except (ValueError, KeyError, TypeError):
        return "it has not said yet which"
