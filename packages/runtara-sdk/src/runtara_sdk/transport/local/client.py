"""A client on a local socket: one connection, dialled when needed, replaced when it has ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterable
from pathlib import Path

from runtara_sdk.errors import DeadlineExceededError, RuntaraError, TransportError
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport.address import parse_local_address
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.exchange import exchange, take_slot
from runtara_sdk.transport.local.connection import LocalConnection
from runtara_sdk.transport.local.peer import own_and_root

_CONCURRENT_CALLS = 1_000
_RETRY_SECONDS = 0.01


class LocalClient:
    """Makes calls to one server of this machine; the interface of `QuicClient`.

    That the server has died is told by the kernel at once: calls in flight end with `ConnectionLostError`, and the next
    call dials again.

    Args:
        address: `unix:///absolute/path`.
        connect_timeout_ms: for an attempt to connect.
        request_timeout_ms: for a call that names no time of its own; includes connecting.
    """

    def __init__(self, address: str, *, connect_timeout_ms: int = 10_000, request_timeout_ms: int = 30_000) -> None:
        self._address = address
        self._path = parse_local_address(address)
        self._connect_timeout = connect_timeout_ms / 1000
        self._request_timeout = request_timeout_ms / 1000
        self._slots = asyncio.Semaphore(_CONCURRENT_CALLS)
        self._connection: LocalConnection | None = None
        self._socket: socket.socket | None = None
        self._dialling: asyncio.Task[LocalConnection] | None = None
        self._closed = False

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None and self._connection.is_open

    async def connect(self) -> None:
        """Reach the server now rather than with the first call. Raises `TransportError`."""
        await self._usable_connection()

    async def close(self) -> None:
        """End the connection and every call in flight. Calling again does nothing."""
        self._closed = True
        if self._dialling is not None:
            self._dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntaraError):
                await self._dialling
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def call(self, payload: bytes, *, timeout_ms: int | None = None, is_held: bool = False) -> bytes:
        """Send a request, return the payload of its response. `is_held` changes nothing: death is told by the kernel.

        Raises `TransportError` when the request was not processed, `ConnectionLostError` when it may have been,
        `DeadlineExceededError` when no answer came in time, `ProtocolError` when the answer is none.
        """
        return await self._call(encode_frame(FrameType.REQUEST, payload), None, timeout_ms)

    async def call_streaming(
        self, payload: bytes, chunks: AsyncIterable[bytes], *, timeout_ms: int | None = None
    ) -> bytes:
        """Like `call`, with raw bytes after the request frame. `chunks` is read as fast as the server takes it."""
        return await self._call(encode_frame(FrameType.REQUEST, payload), chunks, timeout_ms)

    async def _call(self, request: bytes, chunks: AsyncIterable[bytes] | None, timeout_ms: int | None) -> bytes:
        seconds = self._request_timeout if timeout_ms is None else timeout_ms / 1000
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            await take_slot(self._slots, deadline)
            try:
                connection = self._connection
                if connection is None or not connection.is_open or self._is_left(connection):
                    async with asyncio.timeout_at(deadline):
                        connection = await self._usable_connection()
                return await exchange(connection.open_stream(), request, chunks, deadline, self._address)
            finally:
                self._slots.release()
        except (TimeoutError, DeadlineExceededError):
            raise DeadlineExceededError(f"{self._address} did not answer within {seconds:g} s") from None

    async def _usable_connection(self) -> LocalConnection:
        self._check_open()
        if self._connection is not None and self._connection.is_open:
            return self._connection
        if self._dialling is None or self._dialling.done():
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
            self._dialling.add_done_callback(_forget_failure)
        dialling = self._dialling
        try:
            connection = await asyncio.shield(dialling)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if dialling.cancelled() and caller is not None and not caller.cancelling():
                self._check_open()  # it was this client that was closed
            raise
        self._check_open()
        return connection

    def _is_left(self, connection: LocalConnection) -> bool:
        """Whether the server has closed the connection, even if the event loop has had no turn to notice.

        A call that was sent then would be lost for sure, and yet count as one that may have been processed.
        """
        try:
            if self._socket is None or self._socket.recv(1, socket.MSG_PEEK):
                return False
        except BlockingIOError:
            return False
        except OSError:
            pass
        connection.abort(ConnectionLostError("the other side closed the connection"))
        return True

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError(f"the client of {self._address} is closed", retryable=False)

    async def _dial(self) -> LocalConnection:
        """Connect, and make the result the connection of this client."""
        connected: socket.socket | None = None
        try:
            async with asyncio.timeout(self._connect_timeout):
                connected = await _connect(self._path)
                _, connection = await asyncio.get_running_loop().create_unix_connection(LocalConnection, sock=connected)
                self._socket, connected = connected, None
        except TimeoutError:
            raise TransportError(
                f"cannot reach {self._address}: no answer within {self._connect_timeout:g} s"
            ) from None
        except (FileNotFoundError, ConnectionRefusedError) as failure:
            raise TransportError(f"cannot reach {self._address}: no server listens there") from failure
        except OSError as failure:
            raise TransportError(f"cannot reach {self._address}: {failure.strerror or failure}") from failure
        finally:
            if connected is not None:
                connected.close()
        self._check_owner(connection)
        self._connection = connection
        return connection

    def _check_owner(self, connection: LocalConnection) -> None:
        """Speak to nobody but the user whose directory it is, this one, or root."""
        users = own_and_root()
        with contextlib.suppress(OSError):  # a directory that is gone has no owner to be trusted
            users |= {self._path.parent.stat().st_uid}
        peer = connection.peer_process
        if not peer.is_one_of(users):
            error = TransportError(f"{self._address} is served by {peer}, who does not own it", retryable=False)
            connection.abort(error)
            raise error


def _forget_failure(dialling: asyncio.Task[LocalConnection]) -> None:
    """Who waits for the connection is told; it is no news when nobody does any more."""
    if not dialling.cancelled():
        dialling.exception()


async def _connect(path: Path) -> socket.socket:
    # Not `loop.sock_connect`: when the server's backlog is full, the kernel says so at once and goes on with nothing.
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        while True:
            try:
                connected.connect(str(path))
            except (BlockingIOError, InterruptedError):
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return connected
    except BaseException:
        connected.close()
        raise
