"""Who may remove artifacts: whoever nobody else is registering or looking something up with at that moment.

A registration shares the lock from the moment when its files take their places until its row is written; a removal has
it alone while it looks for rows and puts files aside. The lock is of the kernel: it holds between processes, and ends
with its holder.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from runtara_sdk.errors import StorageError

_LOCK_NAME = ".lock"
_LOOK_AGAIN_SECONDS = 0.02
_WAIT_SECONDS = 60.0


class StoreLock:
    """The lock of the artifacts below one directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK_NAME

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Keep removals out; raises `StorageError` when one does not end."""
        async with self._held(fcntl.LOCK_SH):
            yield

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep everybody out; raises `StorageError` when others go on for a minute."""
        async with self._held(fcntl.LOCK_EX):
            yield

    @asynccontextmanager
    async def _held(self, kind: int) -> AsyncIterator[None]:
        descriptor = await asyncio.to_thread(self._open)
        try:
            deadline = asyncio.get_running_loop().time() + _WAIT_SECONDS
            # No thread waits in the kernel: all of them could, and the holder needs one to go on.
            while not _take(descriptor, kind):
                if asyncio.get_running_loop().time() > deadline:
                    raise StorageError(f"{self._path} is held by others: try again")
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        return os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
