"""A UDP socket on the event loop, read in batches so that answers to many packets leave in few."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

_logger = logging.getLogger(__name__)

_BATCH = 64
_MAX_QUEUED_DATAGRAMS = 4_096
_MAX_DATAGRAM_BYTES = 65_536


class DatagramEndpoint:
    """Sends and receives datagrams.

    Args:
        udp_socket: bound or connected; owned by the endpoint from now on.
        on_datagram: called with data and sender for each datagram received.
        on_batch_end: called after each batch of them.
        on_error: called with what the network reports, such as a refused connection.
    """

    def __init__(
        self,
        udp_socket: socket.socket,
        *,
        on_datagram: Callable[[bytes, Any], None],
        on_batch_end: Callable[[], None],
        on_error: Callable[[OSError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = udp_socket
        self._on_datagram = on_datagram
        self._on_batch_end = on_batch_end
        self._on_error = on_error
        self._buffer = bytearray(_MAX_DATAGRAM_BYTES)
        self._view = memoryview(self._buffer)
        self._queue: deque[tuple[bytes, Any]] = deque()
        self._closed = False
        udp_socket.setblocking(False)
        self._loop.add_reader(udp_socket.fileno(), self._on_readable)

    @property
    def local_address(self) -> Any:
        """The address of the socket."""
        return self._socket.getsockname()

    def send(self, data: bytes, address: Any) -> None:
        """Send to `address` (None: the connected peer). What the network cannot take is lost, as UDP is."""
        if self._closed:
            return
        if self._queue:
            self._enqueue(data, address)
            return
        try:
            self._send_now(data, address)
        except (BlockingIOError, InterruptedError):
            self._enqueue(data, address)
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
        except OSError as error:
            self._on_error(error)

    def close(self) -> None:
        """Close the socket. Calling again does nothing."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._queue.clear()
            self._socket.close()

    def _send_now(self, data: bytes, address: Any) -> None:
        if address is None:
            self._socket.send(data)
        else:
            self._socket.sendto(data, address)

    def _enqueue(self, data: bytes, address: Any) -> None:
        if len(self._queue) < _MAX_QUEUED_DATAGRAMS:
            self._queue.append((data, address))

    def _on_writable(self) -> None:
        while self._queue:
            data, address = self._queue[0]
            try:
                self._send_now(data, address)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._on_error(error)
                if self._closed:
                    return
            self._queue.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _on_readable(self) -> None:
        for _ in range(_BATCH):
            try:
                size, address = self._socket.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self._on_error(error)
                if self._closed:
                    return
                break
            try:
                self._on_datagram(bytes(self._view[:size]), address)
            except Exception:
                _logger.exception("a datagram from %s could not be processed and is dropped", address)
            if self._closed:
                return
        self._on_batch_end()


def set_buffer_sizes(udp_socket: socket.socket, *, receive_bytes: int, send_bytes: int) -> None:
    """Ask for buffers of these sizes; the system may grant less, which is logged."""
    for option, wanted, name in (
        (socket.SO_RCVBUF, receive_bytes, "receive"),
        (socket.SO_SNDBUF, send_bytes, "send"),
    ):
        if wanted:
            try:
                udp_socket.setsockopt(socket.SOL_SOCKET, option, wanted)
            except OSError as error:
                _logger.warning("the UDP %s buffer could not be set to %d bytes: %s", name, wanted, error)
                continue
            granted = udp_socket.getsockopt(socket.SOL_SOCKET, option)
            if granted < wanted:
                _logger.info("the system grants a UDP %s buffer of %d of %d bytes", name, granted, wanted)
