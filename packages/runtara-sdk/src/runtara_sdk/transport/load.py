"""What a server holds for its clients, counted, so that no client can make it hold without end.

Streams and buffered bytes are counted for each connection and for all of them. As long as the server's bounds are kept,
anybody may hold anything. Over a bound, whoever already holds more than a fair share of it gets no more; the others are
served on. So the total stays below twice the bound, however many connections there are.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(slots=True)
class ServerLoad:
    """What all connections of one server hold.

    Attributes:
        max_streams: calls that may be open before shares count.
        max_buffered_bytes: bytes of requests and responses that may be held before shares count.
    """

    max_streams: int
    max_buffered_bytes: int
    connections: int = 0
    streams: int = 0
    buffered_bytes: int = 0


class ConnectionLoad:
    """What one connection holds, as a part of the server's load."""

    __slots__ = ("_buffered_bytes", "_server", "_streams", "_unordered_bytes")

    def __init__(self, server: ServerLoad) -> None:
        self._server = server
        self._streams = 0
        self._buffered_bytes = 0
        self._unordered_bytes = 0
        server.connections += 1

    def open_stream(self) -> bool:
        """Count one more stream; False, and not counted, when there is no room for it."""
        server = self._server
        if server.streams >= server.max_streams and self._streams * server.connections >= server.max_streams:
            return False
        self._streams += 1
        server.streams += 1
        return True

    def close_stream(self) -> None:
        """Count one stream less."""
        self._streams -= 1
        self._server.streams -= 1

    def hold(self, size: int) -> bool:
        """Count more bytes; False, though counted, when this connection has to let go of some."""
        self._buffered_bytes += size
        server = self._server
        server.buffered_bytes += size
        return (
            server.buffered_bytes <= server.max_buffered_bytes
            or self._buffered_bytes * server.connections <= server.max_buffered_bytes
        )

    def release(self, size: int) -> None:
        """Count fewer bytes."""
        self._buffered_bytes -= size
        self._server.buffered_bytes -= size

    def hold_unordered(self, size: int) -> bool:
        """Set the bytes that are of no use before others come; False when this connection has to let go of some."""
        change, self._unordered_bytes = size - self._unordered_bytes, size
        if change > 0:
            return self.hold(change)
        self.release(-change)
        return True

    def end(self) -> None:
        """The connection is over; what its streams hold is given back as they end."""
        self.hold_unordered(0)
        self._server.connections -= 1


def unbounded_load() -> ConnectionLoad:
    """For a client, which decides itself what it asks for."""
    return ConnectionLoad(ServerLoad(max_streams=sys.maxsize, max_buffered_bytes=sys.maxsize))
