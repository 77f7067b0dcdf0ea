"""A QUIC server: one UDP socket, many connections, a handler task for each call."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from typing import Any

from runtara_sdk.errors import AddressInUseError, ConfigurationError, TransportError
from runtara_sdk.transport.address import format_address, is_loopback
from runtara_sdk.transport.call_server import CallServer, StreamHandler
from runtara_sdk.transport.load import ConnectionLoad, ServerLoad
from runtara_sdk.transport.quic.connection import Connection
from runtara_sdk.transport.quic.datagram import DatagramEndpoint, set_buffer_sizes
from runtara_sdk.transport.quic.library import EngineFactory, LibraryName, QuicLibrary
from runtara_sdk.transport.quic.library_choice import select_library
from runtara_sdk.transport.quic.packet_header import (
    CONNECTION_ID_LENGTH,
    ReceivedHeader,
    parse_header,
    short_header_destination,
)
from runtara_sdk.transport.quic.retry import RetryTokens
from runtara_sdk.transport.settings import ServerSettings, TlsIdentity

_logger = logging.getLogger(__name__)

_MIN_INITIAL_BYTES = 1_200
_QUIC_VERSION_1 = 1
_SLOW_HANDSHAKE = TransportError("the handshake took too long")


class QuicServer:
    """A listening server; made by `serve_quic`."""

    def __init__(
        self,
        handler: StreamHandler,
        settings: ServerSettings,
        library: QuicLibrary,
        create_engine: EngineFactory,
        udp_socket: socket.socket,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._library = library
        self._create_engine = create_engine
        self._by_id: dict[bytes, Connection] = {}
        self._connections: dict[Connection, set[bytes]] = {}
        self._touched: set[Connection] = set()
        self._pending_handshakes = 0
        self._load = ServerLoad(settings.max_streams, settings.max_buffered_bytes)
        self._retry_tokens = RetryTokens()
        self._calls = CallServer(handler, settings)
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._endpoint = DatagramEndpoint(
            udp_socket,
            on_datagram=self._on_datagram,
            on_batch_end=self._on_batch_end,
            on_error=lambda error: _logger.debug("the network reports: %s", error),
        )
        self._schedule_keep_alive()

    @property
    def port(self) -> int:
        """The UDP port that is listened on."""
        return int(self._endpoint.local_address[1])

    @property
    def address(self) -> str:
        """`host:port` for a client on the same machine."""
        host = str(self._endpoint.local_address[0])
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return format_address(host, self.port)

    @property
    def connection_count(self) -> int:
        """Number of connections, those in their handshake included."""
        return len(self._connections)

    @property
    def open_streams(self) -> int:
        """Number of calls in flight, over all connections."""
        return self._load.streams

    @property
    def buffered_bytes(self) -> int:
        """Bytes of requests and responses held for calls in flight."""
        return self._load.buffered_bytes

    def replace_identity(self, identity: TlsIdentity) -> None:
        """Show another certificate to those who connect from now on; raises `ConfigurationError` as `serve_quic`."""
        self._create_engine = self._library.server_engine_factory(
            identity,
            idle_timeout_ms=self._settings.idle_timeout_ms,
            max_streams=self._settings.max_bidirectional_streams,
        )

    async def close(self, grace: float = 5.0) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then end them and all connections."""
        if self._calls.is_closing:
            return
        if self._keep_alive_timer is not None:
            self._keep_alive_timer.cancel()
        await self._calls.close(grace)
        for connection in tuple(self._connections):
            connection.close()
        self._endpoint.close()

    # Datagrams

    def _on_datagram(self, data: bytes, address: Any) -> None:
        destination_id = short_header_destination(data)
        if destination_id is not None:
            connection = self._by_id.get(destination_id)
        else:
            header = parse_header(data)
            if header is None:
                return
            connection = self._by_id.get(header.destination_id) or self._accept(header, len(data), address)
        if connection is None:
            return
        self._touched.add(connection)
        connection.receive(data, address)

    def _on_batch_end(self) -> None:
        touched, self._touched = self._touched, set()
        for connection in touched:
            connection.end_batch()

    def _accept(self, header: ReceivedHeader, datagram_bytes: int, address: Any) -> Connection | None:
        if header.version is None or datagram_bytes < _MIN_INITIAL_BYTES or self._calls.is_closing:
            return None
        if header.version != _QUIC_VERSION_1:
            # A version of 0 is itself a version negotiation; answering it could loop.
            if header.version:
                self._endpoint.send(self._library.version_negotiation(header), address)
            return None
        if not header.is_initial:
            return None
        if self._pending_handshakes >= self._settings.max_pending_handshakes:
            self._calls.complaints.warn("%d handshakes are pending; a new client is ignored", self._pending_handshakes)
            return None
        original_id, retry_source_id = header.destination_id, None
        if header.token and (named := self._retry_tokens.original_destination_id(header.token, address, original_id)):
            original_id, retry_source_id = named, header.destination_id
        elif self._pending_handshakes >= self._settings.retry_above_handshakes:
            retry_source_id = os.urandom(CONNECTION_ID_LENGTH)
            token = self._retry_tokens.create(address, header.destination_id, retry_source_id)
            self._endpoint.send(self._library.retry(header, retry_source_id, token), address)
            return None
        if len(self._connections) >= self._settings.max_connections and not self._drop_idle_connection():
            self._calls.complaints.warn(
                "%d connections are open and busy; a new client is ignored", len(self._connections)
            )
            return None
        usable_bytes = datagram_bytes if is_loopback(address) else _MIN_INITIAL_BYTES
        engine = self._create_engine(original_id, usable_bytes, retry_source_id)
        connection = Connection(
            self._library,
            engine,
            peer_address=address,
            send=self._endpoint.send,
            load=ConnectionLoad(self._load),
            on_stream=self._calls.start,
            on_connection_id=lambda connection_id, issued: self._note_id(connection, connection_id, issued),
            on_closed=lambda: self._forget(connection),
        )
        self._pending_handshakes += 1
        timeout = self._loop.call_later(self._settings.handshake_timeout_ms / 1000, connection.abort, _SLOW_HANDSHAKE)
        connection.connected.add_done_callback(lambda _: self._on_handshake_end(timeout))
        self._connections[connection] = set()
        self._note_id(connection, header.destination_id, True)
        self._note_id(connection, engine.host_cid, True)
        return connection

    def _on_handshake_end(self, timeout: asyncio.TimerHandle) -> None:
        timeout.cancel()
        self._pending_handshakes -= 1

    def _drop_idle_connection(self) -> bool:
        idle = [each for each in self._connections if each.connected.done() and not each.open_streams]
        if not idle:
            return False
        min(idle, key=lambda each: each.last_received_at).close()
        return True

    def _note_id(self, connection: Connection, connection_id: bytes, issued: bool) -> None:  # noqa: FBT001
        if issued:
            self._by_id[connection_id] = connection
            self._connections[connection].add(connection_id)
        else:
            self._by_id.pop(connection_id, None)
            self._connections[connection].discard(connection_id)

    def _forget(self, connection: Connection) -> None:
        for connection_id in self._connections.pop(connection, ()):
            self._by_id.pop(connection_id, None)
        self._touched.discard(connection)

    def _schedule_keep_alive(self) -> None:
        if self._settings.keep_alive_ms:
            self._keep_alive_timer = self._loop.call_later(self._settings.keep_alive_ms / 1000, self._keep_alive)

    def _keep_alive(self) -> None:
        silent_since = self._loop.time() - self._settings.keep_alive_ms / 1000
        for connection in tuple(self._connections):
            if connection.last_received_at < silent_since and connection.connected.done():
                connection.ping()
        self._schedule_keep_alive()


async def serve_quic(
    handler: StreamHandler,
    settings: ServerSettings,
    identity: TlsIdentity,
    *,
    library: LibraryName | str | None = None,
) -> QuicServer:
    """Listen for calls.

    Args:
        handler: serves one call whose first frame has arrived; calls run concurrently.
        settings: address and bounds.
        identity: certificate and private key of the server.
        library: the QUIC library; None reads RUNTARA_QUIC_LIBRARY.

    Raises `AddressInUseError`, and `ConfigurationError` when the address cannot be used or the identity cannot be read.
    """
    quic = select_library(library)
    create_engine = quic.server_engine_factory(
        identity,
        idle_timeout_ms=settings.idle_timeout_ms,
        max_streams=settings.max_bidirectional_streams,
    )
    udp_socket = await _bind(settings)
    return QuicServer(handler, settings, quic, create_engine, udp_socket)


async def _bind(settings: ServerSettings) -> socket.socket:
    loop = asyncio.get_running_loop()
    where = f"UDP {settings.host}:{settings.port}"
    try:
        found = await loop.getaddrinfo(settings.host, settings.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from error
    family, kind, protocol, _, address = found[0]
    udp_socket = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                udp_socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        set_buffer_sizes(udp_socket, receive_bytes=settings.receive_buffer_bytes, send_bytes=settings.send_buffer_bytes)
        udp_socket.bind(address)
    except OSError as error:
        udp_socket.close()
        remedy = f"choose another port with {settings.port_setting}"
        if error.errno == errno.EADDRINUSE:
            raise AddressInUseError(
                f"cannot listen on {where}: the address is in use; stop the program that holds it or {remedy}"
            ) from error
        raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}; {remedy}") from error
    return udp_socket
