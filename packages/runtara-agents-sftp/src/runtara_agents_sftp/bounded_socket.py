"""Sending that ends: the library tries without end to send to somebody who takes nothing."""

from __future__ import annotations

import errno
import time
from typing import Any


class BoundedSocket:
    """What a transport sends through: a socket, or a channel of a jump host.

    Args:
        sock: either of them, with a timeout.
        progress_seconds: how long nothing may be taken.
    """

    def __init__(self, sock: Any, progress_seconds: float) -> None:
        self._sock = sock
        self._progress_seconds = progress_seconds
        self._is_stuck_since: float | None = None

    def send(self, data: bytes) -> int:
        """Send some of the bytes; returns how many.

        Raises:
            TimeoutError: none were taken for the moment.
            ConnectionAbortedError: none were taken for too long.
        """
        try:
            count: int = self._sock.send(data)
        except TimeoutError:
            now = time.monotonic()
            self._is_stuck_since = self._is_stuck_since or now
            if now - self._is_stuck_since > self._progress_seconds:
                raise ConnectionAbortedError(errno.ECONNABORTED, "the other side takes nothing") from None
            raise
        self._is_stuck_since = None
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
