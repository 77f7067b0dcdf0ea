"""One TCP connection as the HTTP client reads and writes it, with TLS once that was asked for.

It stands on the transports of asyncio alone: two calls of the event loop for a request, where a general library takes
many more.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any

import httpcore

from runtara_agents_http.tls import ready_context

_HIGH_WATER_BYTES = 256 * 1024


class TcpProtocol(asyncio.Protocol):
    """Keeps what arrives until it is read, and makes the other side wait beyond a bound."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._reading_is_paused = False
        self._is_encrypted = False
        self._ended = False
        self._failure: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._writing_is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport  # type: ignore[assignment]  # a connection over TCP has a transport of both ways

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER_BYTES and not self._reading_is_paused:
            self.transport.pause_reading()
            self._reading_is_paused = True
        _wake(self._reader)

    def eof_received(self) -> bool:
        """Called by asyncio; nothing is sent to a server that has ended its side."""
        self._ended = True
        _wake(self._reader)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._ended = True
        self._failure = error
        _wake(self._reader)
        _wake(self._writer)

    def pause_writing(self) -> None:
        """Called by asyncio."""
        self._writing_is_paused = True

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._writing_is_paused = False
        _wake(self._writer)

    @property
    def transport(self) -> asyncio.Transport:
        """The transport; there is one from the first moment in which anybody has the protocol."""
        if self._transport is None:
            raise OSError("not connected")
        return self._transport

    @property
    def is_readable(self) -> bool:
        """Whether bytes or the end have arrived: of a connection at rest, that it cannot be used again."""
        return bool(self._pieces) or self._ended

    async def read(self, most: int) -> bytes:
        """The next bytes; none at the end. Raises OSError, `ssl.SSLError` included."""
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        piece = self._pieces.popleft()
        if len(piece) > most:
            self._pieces.appendleft(piece[most:])
            piece = piece[:most]
        self._size -= len(piece)
        if self._reading_is_paused and self._size <= _HIGH_WATER_BYTES // 2:
            self._reading_is_paused = False
            if not self._ended:
                self.transport.resume_reading()
        return piece

    async def write(self, data: bytes) -> None:
        """Send, and wait while the other side does not take what was sent before. Raises OSError."""
        if self._failure is not None:
            raise self._failure
        if self._ended and self.transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self.transport.write(data)
        while self._writing_is_paused and not self.transport.is_closing():
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                self._writer = None
        if self._failure is not None:
            raise self._failure

    async def start_tls(self, context: ssl.SSLContext, hostname: str | None) -> None:
        """Continue with TLS. Raises OSError, `ssl.SSLError` included."""
        loop = asyncio.get_running_loop()
        encrypted = await loop.start_tls(self.transport, self, context, server_hostname=hostname)
        if encrypted is None:
            raise ConnectionResetError("the connection ended during the TLS handshake")
        self._transport = encrypted
        self._is_encrypted = True

    def close(self) -> None:
        """Close without waiting for the other side."""
        if self._is_encrypted:  # HTTP says where a message ends, so nobody waits for the farewell of TLS
            self.transport.abort()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class TcpStream(httpcore.AsyncNetworkStream):
    """The connection in the form that the HTTP client takes."""

    def __init__(self, protocol: TcpProtocol) -> None:
        self._protocol = protocol

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """The next bytes; none at the end."""
        try:
            if timeout is None:
                return await self._protocol.read(max_bytes)
            async with asyncio.timeout(timeout):
                return await self._protocol.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout("nothing arrived in time") from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send, and wait while the other side does not take what was sent before."""
        if not buffer:
            return
        try:
            if timeout is None:
                await self._protocol.write(buffer)
                return
            async with asyncio.timeout(timeout):
                await self._protocol.write(buffer)
        except TimeoutError as error:
            raise httpcore.WriteTimeout("nothing was taken in time") from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        """Close without waiting for the other side."""
        self._protocol.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The same connection with TLS."""
        try:
            ready_context(ssl_context)
            async with asyncio.timeout(timeout):
                await self._protocol.start_tls(ssl_context, server_hostname)
        except TimeoutError as error:
            self._protocol.abort()
            raise httpcore.ConnectTimeout("the TLS handshake did not end in time") from error
        except OSError as error:
            self._protocol.abort()
            raise httpcore.ConnectError(str(error)) from error
        except BaseException:
            self._protocol.abort()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """What the layers above ask for."""
        if info == "is_readable":
            return self._protocol.is_readable
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._protocol.transport.get_extra_info(names.get(info, info))
