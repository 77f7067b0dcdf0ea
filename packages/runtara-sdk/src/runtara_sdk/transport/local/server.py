"""A server on a local socket: many connections, a handler task for each call."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from pathlib import Path

from runtara_sdk.errors import PermissionDeniedError, TransportError
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.call_server import CallServer, StreamHandler
from runtara_sdk.transport.load import ConnectionLoad, ServerLoad
from runtara_sdk.transport.local.connection import LocalConnection
from runtara_sdk.transport.local.peer import own_and_root
from runtara_sdk.transport.local.socket_file import BACKLOG, SocketFile
from runtara_sdk.transport.settings import ServerSettings

_logger = logging.getLogger(__name__)

_SPARE_DESCRIPTORS = 1_024
_SLOW_BEGINNING = TransportError("the client did not begin in time")


class LocalServer:
    """A listening server; made by `serve_local`."""

    def __init__(
        self, handler: StreamHandler, settings: ServerSettings, socket_file: SocketFile, users: frozenset[int]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._socket_file = socket_file
        self._users = users
        self._connections: set[LocalConnection] = set()
        self._load = ServerLoad(settings.max_streams, settings.max_buffered_bytes)
        self._calls = CallServer(handler, settings)
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`unix://` and the path of the socket."""
        return format_local_address(self._socket_file.path)

    @property
    def connection_count(self) -> int:
        """Number of connections."""
        return len(self._connections)

    @property
    def open_streams(self) -> int:
        """Number of calls in flight, over all connections."""
        return self._load.streams

    @property
    def buffered_bytes(self) -> int:
        """Bytes of requests and responses held for calls in flight."""
        return self._load.buffered_bytes

    async def start(self) -> None:
        """Accept connections."""
        self._server = await self._loop.create_unix_server(
            self._connection, sock=self._socket_file.listening, backlog=BACKLOG
        )

    async def close(self, grace: float = 5.0) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then end them and all connections."""
        if self._calls.is_closing:
            return
        if self._server is not None:
            self._server.close()
        self._socket_file.close()
        await self._calls.close(grace)
        for connection in tuple(self._connections):
            connection.close()

    def _connection(self) -> LocalConnection:
        return LocalConnection(
            load=ConnectionLoad(self._load),
            on_connected=self._on_connected,
            on_stream=self._calls.start,
            on_closed=self._connections.discard,
        )

    def _on_connected(self, connection: LocalConnection) -> None:
        peer = connection.peer_process
        if not peer.is_one_of(self._users):
            _logger.warning("%s may not use %s and is refused", peer, self._socket_file.path)
            connection.abort(PermissionDeniedError(f"user {peer.user_id} may not use this socket"))
        elif self._calls.is_closing:
            connection.close()
        elif len(self._connections) >= self._settings.max_connections and not self._drop_idle_connection():
            _logger.warning("%d connections are open and busy; a new client is refused", len(self._connections))
            connection.close()
        else:
            self._connections.add(connection)
            self._loop.call_later(self._settings.handshake_timeout_ms / 1000, _expect_beginning, connection)

    def _drop_idle_connection(self) -> bool:
        idle = [each for each in self._connections if not each.open_streams]
        if not idle:
            return False
        min(idle, key=lambda each: each.last_received_at).close()
        return True


async def serve_local(
    handler: StreamHandler, settings: ServerSettings, path: Path, *, users: frozenset[int] | None = None
) -> LocalServer:
    """Listen for calls on a local socket.

    Args:
        handler: serves one call whose first frame has arrived; calls run concurrently.
        settings: bounds; address and port are not used.
        path: of the socket, in a directory of its own.
        users: ids of the users whose processes may connect; root and the own one when left out.

    Raises `ConfigurationError` when the path cannot be used.
    """
    _allow_descriptors(settings.max_connections)
    socket_file = await asyncio.to_thread(SocketFile.create, path)
    server = LocalServer(handler, settings, socket_file, own_and_root() if users is None else users)
    try:
        await server.start()
    except BaseException:
        socket_file.close()
        raise
    return server


def _expect_beginning(connection: LocalConnection) -> None:
    if not connection.has_begun:
        connection.abort(_SLOW_BEGINNING)


def _allow_descriptors(connections: int) -> None:
    """Raise this process's own bound of open files, as far as it may, to what so many connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        # The system may have a lower bound than it tells, as macOS has.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
