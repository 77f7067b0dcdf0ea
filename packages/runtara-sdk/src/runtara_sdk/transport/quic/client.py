"""A QUIC client: one connection, dialled when needed, replaced when it has died."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

from runtara_sdk.errors import DeadlineExceededError, RuntaraError, TransportError
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport.address import is_loopback, parse_address
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.exchange import exchange, take_slot
from runtara_sdk.transport.quic.connection import Connection
from runtara_sdk.transport.quic.datagram import DatagramEndpoint, set_buffer_sizes
from runtara_sdk.transport.quic.library import ClientSecurity, LibraryName
from runtara_sdk.transport.quic.library_choice import select_library

_logger = logging.getLogger(__name__)

_IDLE_TIMEOUT_MS = 120_000
_SOCKET_BUFFER_BYTES = 2 * 1024 * 1024

_SUSPECT_AFTER_SECONDS = 0.4
"""A peer that has not reacted for so long is put to the test of a second handshake."""

_LAST_CHANCE_SECONDS = 0.2
"""A peer that has answered a second handshake gets at least so long to react on the first connection, too."""

_CALL_PING_SECONDS = 2.0
"""While calls wait for answers, a server that was silent for so long is asked for a sign of life: it may have died
after it had acknowledged the requests."""

_HELD_PING_SECONDS = 5.0
"""The same while all of these calls are held by the server: a thousand idle clients should cost it little."""

_UNCERTAIN_AFTER_SECONDS = 1.0
"""A connection that was silent for so long is asked for a sign of life before it carries a call."""


class QuicClient:
    """Makes calls to one server.

    Death of the peer is noticed in two ways. A refused port (ICMP) ends the connection at once. Silence, which may as
    well come from a busy server, only raises a suspicion: a second connection is dialled, and replaces the first when
    its handshake completes while the first is still silent - which is what a restarted server looks like, since it
    knows nothing of the old connection. A slow server answers the first one before it answers the handshake.

    Args:
        address: `host:port`, `[ipv6]:port`.
        server_name: the name that the server's certificate must carry.
        ca_file: PEM file of the CA to trust; None trusts the public roots.
        verify: False accepts any certificate: the documented way out, open to impostors.
        connect_timeout_ms: for the resolution of the name and the handshake.
        request_timeout_ms: for a call that names no time of its own; includes connecting.
        keep_alive_ms: ping a silent server this often, and more often while calls wait; 0 never does.
        library: the QUIC library; None reads RUNTARA_QUIC_LIBRARY.
    """

    def __init__(
        self,
        address: str,
        *,
        server_name: str = "localhost",
        ca_file: Path | None = None,
        verify: bool = True,
        connect_timeout_ms: int = 10_000,
        request_timeout_ms: int = 30_000,
        keep_alive_ms: int = 10_000,
        library: LibraryName | str | None = None,
    ) -> None:
        self._address = address
        self._host, self._port = parse_address(address)
        self._security = ClientSecurity(server_name, ca_file, verify)
        self._connect_timeout = connect_timeout_ms / 1000
        self._request_timeout = request_timeout_ms / 1000
        self._keep_alive = keep_alive_ms / 1000
        self._library = select_library(library)
        self._slots = asyncio.Semaphore(self._library.concurrent_streams)
        self._connection: Connection | None = None
        self._dialling: asyncio.Task[Connection] | None = None
        self._dialled_at = 0.0
        self._suspicion_timer: asyncio.TimerHandle | None = None
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._calls_in_flight = 0
        self._calls_held = 0

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that is not known to be dead."""
        return self._connection is not None and self._connection.is_open

    async def connect(self) -> None:
        """Reach the server now rather than with the first call. Raises `TransportError`."""
        await self._usable_connection()

    async def close(self) -> None:
        """End the connection and every call in flight. Calling again does nothing."""
        self._closed = True
        for timer in (self._suspicion_timer, self._keep_alive_timer):
            if timer is not None:
                timer.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
            with contextlib.suppress(asyncio.CancelledError, RuntaraError):
                await self._dialling
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def call(self, payload: bytes, *, timeout_ms: int | None = None, is_held: bool = False) -> bytes:
        """Send a request, return the payload of its response. One that `is_held` is not expected to be answered soon.

        Raises `TransportError` when the request was not processed, `ConnectionLostError` when it may have been,
        `DeadlineExceededError` when no answer came in time, `ProtocolError` when the answer is none.
        """
        if not is_held:
            return await self._call(encode_frame(FrameType.REQUEST, payload), None, timeout_ms)
        self._calls_held += 1
        try:
            return await self._call(encode_frame(FrameType.REQUEST, payload), None, timeout_ms)
        finally:
            self._calls_held -= 1

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
                if connection is None or not self._is_certain(connection):
                    async with asyncio.timeout_at(deadline):
                        connection = await self._usable_connection()
                if not connection.can_open_stream:
                    async with asyncio.timeout_at(deadline):
                        await connection.wait_stream_allowed()
                return await self._exchange(connection, request, chunks, deadline)
            finally:
                self._slots.release()
        except (TimeoutError, DeadlineExceededError):
            raise DeadlineExceededError(f"{self._address} did not answer within {seconds:g} s") from None

    async def _exchange(
        self, connection: Connection, request: bytes, chunks: AsyncIterable[bytes] | None, deadline: float
    ) -> bytes:
        self._calls_in_flight += 1
        try:
            return await exchange(connection.open_stream(), request, chunks, deadline, self._address)
        finally:
            self._calls_in_flight -= 1

    # The connection

    def _is_certain(self, connection: Connection) -> bool:
        if not connection.is_open:
            return False
        now = asyncio.get_running_loop().time()
        unanswered = connection.unanswered_since
        return now - connection.last_received_at < _UNCERTAIN_AFTER_SECONDS and (
            unanswered is None or now - unanswered < _SUSPECT_AFTER_SECONDS
        )

    async def _usable_connection(self) -> Connection:
        self._check_open()
        connection = self._connection
        while connection is not None and connection.is_open:
            if self._is_certain(connection):
                return connection
            if connection.unanswered_since is None:
                connection.ping()
            await connection.wait_heard()
            connection = self._connection
        self._check_open()
        dialling = self._dial_once()
        try:
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if dialling.cancelled() and caller is not None and not caller.cancelling():
                self._check_open()  # it was this client that was closed
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise TransportError(f"the client of {self._address} is closed", retryable=False)

    def _dial_once(self) -> asyncio.Task[Connection]:
        if self._dialling is None or self._dialling.done():
            self._dialled_at = asyncio.get_running_loop().time()
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
            self._dialling.add_done_callback(self._on_dialled)
        return self._dialling

    async def _dial(self) -> Connection:
        """Connect, and make the result the connection of this client."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
                error: RuntaraError | None = None
                for family, _, _, _, address in found:
                    asked_at = loop.time()
                    try:
                        connection = await self._handshake(family, address)
                    except TransportError as refused:
                        error = error or refused
                    else:
                        await self._give_former_a_chance(asked_at)
                        self._adopt(connection, asked_at)
                        return self._connection or connection
        except TimeoutError:
            raise TransportError(
                f"cannot reach {self._address}: no answer within {self._connect_timeout:g} s"
            ) from None
        except OSError as failure:
            raise TransportError(f"cannot reach {self._address}: {failure.strerror or failure}") from failure
        reason = error.message if error else "the name has no address"
        raise TransportError(
            f"cannot reach {self._address}: {reason}",
            code=error.code if error and not error.retryable else None,
            retryable=error.retryable if error else None,
        )

    async def _handshake(self, family: int, address: Any) -> Connection:
        udp_socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp_socket.setblocking(False)
            set_buffer_sizes(udp_socket, receive_bytes=_SOCKET_BUFFER_BYTES, send_bytes=_SOCKET_BUFFER_BYTES)
            udp_socket.connect(address)
            engine = self._library.client_engine(
                self._security, idle_timeout_ms=_IDLE_TIMEOUT_MS, on_loopback=is_loopback(address)
            )
        except BaseException:
            udp_socket.close()
            raise
        endpoint = DatagramEndpoint(
            udp_socket,
            on_datagram=lambda data, _: connection.receive(data, address),
            on_batch_end=lambda: connection.end_batch(),
            on_error=lambda error: connection.abort(ConnectionLostError(error.strerror or str(error))),
        )
        connection = Connection(
            self._library,
            engine,
            peer_address=address,
            send=lambda data, _: endpoint.send(data, None),
            on_unanswered=self._expect_answer,
            on_closed=endpoint.close,
        )
        try:
            connection.connect(address)
            await asyncio.shield(connection.connected)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _give_former_a_chance(self, asked_at: float) -> None:
        # An acknowledgement may be delayed for longer than a handshake takes, and a busy server is slow with both.
        former = self._connection
        if former is not None and _is_silent(former, asked_at):
            handshake_seconds = asyncio.get_running_loop().time() - asked_at
            former.ping()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(_LAST_CHANCE_SECONDS, 2 * handshake_seconds)):
                    await former.wait_heard()

    def _adopt(self, connection: Connection, asked_at: float) -> None:
        former = self._connection
        if former is not None and former.is_open:
            if not _is_silent(former, asked_at):
                # It was only slow: keep the calls it carries.
                connection.close()
                return
            _logger.info("%s no longer knows this connection; a new one replaces it", self._address)
            former.abort(ConnectionLostError(f"{self._address} has lost the connection, probably by a restart"))
        self._connection = connection
        self._schedule_keep_alive()

    def _on_dialled(self, dialling: asyncio.Task[Connection]) -> None:
        if dialling.cancelled() or (error := dialling.exception()) is None:
            return
        connection = self._connection
        if connection is not None and _is_silent(connection, self._dialled_at):
            connection.abort(ConnectionLostError(f"the connection is silent, and {error}"))

    # Signs of life

    def _expect_answer(self) -> None:
        """The peer owes a reaction: see to it that its silence is noticed."""
        if self._suspicion_timer is None:
            loop = asyncio.get_running_loop()
            self._suspicion_timer = loop.call_later(_SUSPECT_AFTER_SECONDS, self._suspect)

    def _suspect(self) -> None:
        self._suspicion_timer = None
        connection = self._connection
        if self._closed or connection is None or not connection.is_open or connection.unanswered_since is None:
            return
        loop = asyncio.get_running_loop()
        due = connection.unanswered_since + _SUSPECT_AFTER_SECONDS
        if loop.time() < due:
            self._suspicion_timer = loop.call_at(due, self._suspect)
        else:
            # What was queued may wait for the peer's leave to be sent; a ping never does.
            connection.ping()
            self._dial_once()

    def _schedule_keep_alive(self) -> None:
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
            self._keep_alive_timer = None
        connection = self._connection
        if self._keep_alive and connection is not None and connection.is_open and not self._closed:
            loop = asyncio.get_running_loop()
            tick = min(self._keep_alive, _CALL_PING_SECONDS)
            self._keep_alive_timer = loop.call_later(tick, self._keep_connection_alive)

    def _keep_connection_alive(self) -> None:
        self._keep_alive_timer = None
        connection = self._connection
        now = asyncio.get_running_loop().time()
        if connection is not None and connection.is_open and now - connection.last_received_at >= self._patience():
            connection.ping()
        self._schedule_keep_alive()

    def _patience(self) -> float:
        if self._calls_in_flight > self._calls_held:
            return min(self._keep_alive, _CALL_PING_SECONDS)
        return min(self._keep_alive, _HELD_PING_SECONDS) if self._calls_held else self._keep_alive


def _is_silent(connection: Connection, since: float) -> bool:
    """Whether an open connection owes a reaction and has not been heard since: calls made meanwhile don't count."""
    return connection.is_open and connection.unanswered_since is not None and connection.last_received_at < since
