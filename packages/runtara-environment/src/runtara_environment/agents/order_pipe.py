"""A named pipe that hands an order to the program of a launch, and by its end tells that program of the daemon's death.

What passes through it is in no file, so that no secret of an order is left anywhere.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import termios
from pathlib import Path

_CHUNK_BYTES = 64 * 1024
_READABLE = 0o644


class OrderPipe:
    """A pipe at a path, open until `close`. Whoever may enter its directory may read from it."""

    def __init__(self, path: Path) -> None:
        """Make it. Raises OSError."""
        os.mkfifo(path)
        path.chmod(_READABLE)  # whatever the umask is
        # Also for reading, though only the program reads: so it can be opened before the program is there, and what
        # waits in it is not lost. The program sees an end once this process is gone.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)

    async def feed(self, order: bytes) -> None:
        """Write an order as fast as it is read; waits until somebody takes it."""
        left = memoryview(order)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                await self._has_room()

    @property
    def is_empty(self) -> bool:
        """Whether all that was written has been read."""
        return not any(fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))

    def close(self) -> None:
        """End it, for whoever reads, too; not while `feed` is under way."""
        os.close(self._descriptor)

    async def _has_room(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self._descriptor, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._descriptor)
