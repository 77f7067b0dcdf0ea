"""A server on a local socket: many connections, a handler task for each call."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import resource
import socket
from collections.abc import Container
from pathlib import Path

from runtara_sdk.errors import PermissionDeniedError, TransportError
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.call_server import CallServer, StreamHandler
from runtara_sdk.transport.load import ConnectionLoad, ServerLoad
from runtara_sdk.transport.local.connection import LocalConnection
from runtara_sdk.transport.local.peer import GUEST_USERS, own_and_root
from runtara_sdk.transport.local.socket_file import SocketFile
from runtara_sdk.transport.settings import ServerSettings

_SPARE_DESCRIPTORS = 1_024
_ACCEPTED_IN_A_TURN = 50
_ACCEPT_AGAIN_SECONDS = 0.05
_DROP_CANDIDATES = 64
_SLOW_BEGINNING = TransportError("the client did not begin in time")


class LocalServer:
    """A listening server; made by `serve_local`."""

    def __init__(
        self,
        handler: StreamHandler,
        settings: ServerSettings,
        socket_file: SocketFile,
        users: frozenset[int],
        *,
        guests: Container[int] = (),
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._settings = settings
        self._socket_file = socket_file
        self._users = users
        self._guests = guests
        self._connections: dict[LocalConnection, asyncio.TimerHandle] = {}
        self._load = ServerLoad(settings.max_streams, settings.max_buffered_bytes)
        self._calls = CallServer(handler, settings)
        self._accepting: set[asyncio.Task[None]] = set()
        self._accepts_again: asyncio.TimerHandle | None = None

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
        """Bytes held for calls in flight, of messages that are not whole, and of those that clients leave unread."""
        return self._load.buffered_bytes

    def start(self) -> None:
        """Accept connections."""
        self._accepts_again = None
        self._loop.add_reader(self._socket_file.listening.fileno(), self._accept)

    async def close(self, grace: float = 5.0) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then end them and all connections."""
        if self._calls.is_closing:
            return
        self._stop_accepting()
        self._socket_file.close()
        await self._calls.close(grace)
        for connection in tuple(self._connections):
            connection.close()

    def _accept(self) -> None:
        # Not `loop.create_unix_server`: it takes thousands of clients in one turn, and without a free descriptor it
        # fills the log.
        for _ in range(_ACCEPTED_IN_A_TURN):
            try:
                accepted, _address = self._socket_file.listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._calls.complaints.warn(
                    "a client of %s has to wait, for %d are connected: %s",
                    self._socket_file.path,
                    len(self._connections),
                    error.strerror or error,
                )
                self._drop_idle_connection()
                self._stop_accepting()
                self._accepts_again = self._loop.call_later(_ACCEPT_AGAIN_SECONDS, self.start)
                return
            task = self._loop.create_task(self._begin(accepted))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def _stop_accepting(self) -> None:
        self._loop.remove_reader(self._socket_file.listening.fileno())
        if self._accepts_again is not None:
            self._accepts_again.cancel()

    async def _begin(self, accepted: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has left again
            await self._loop.connect_accepted_socket(self._connection, accepted)

    def _connection(self) -> LocalConnection:
        return LocalConnection(
            load=ConnectionLoad(self._load),
            on_connected=self._on_connected,
            on_stream=self._calls.start,
            on_closed=self._forget,
        )

    def _forget(self, connection: LocalConnection) -> None:
        timeout = self._connections.pop(connection, None)
        if timeout is not None:
            timeout.cancel()

    def _on_connected(self, connection: LocalConnection) -> None:
        peer = connection.peer_process
        if not (peer.is_one_of(self._users) or (peer.user_id is not None and peer.user_id in self._guests)):
            self._calls.complaints.warn("%s may not use %s and is refused", peer, self._socket_file.path)
            connection.abort(PermissionDeniedError(f"user {peer.user_id} may not use this socket"))
        elif self._calls.is_closing:
            connection.close()
        elif len(self._connections) >= self._settings.max_connections and not self._drop_idle_connection():
            self._calls.complaints.warn(
                "%d connections are open and busy; a new client is refused", len(self._connections)
            )
            connection.close()
        else:
            self._connections[connection] = self._loop.call_later(
                self._settings.handshake_timeout_ms / 1000, _expect_beginning, connection
            )

    def _drop_idle_connection(self) -> bool:
        idle = (each for each in self._connections if not each.open_streams)
        # A request that is on its way would be lost, and its caller could not know whether it was processed.
        for connection in heapq.nsmallest(_DROP_CANDIDATES, idle, key=lambda each: each.last_received_at):
            if not connection.has_news:
                connection.close()
                return True
        return False


async def serve_local(
    handler: StreamHandler,
    settings: ServerSettings,
    path: Path,
    *,
    users: frozenset[int] | None = None,
    for_guests: bool = False,
    guest_users: Container[int] = GUEST_USERS,
) -> LocalServer:
    """Listen for calls on a local socket.

    Args:
        handler: serves one call whose first frame has arrived; calls run concurrently.
        settings: bounds; address and port are not used.
        path: of the socket, in a directory of its own.
        users: ids of the users whose processes may connect; root and the own one when left out.
        for_guests: launched programs that run as other users are served, too: those in containers, which are given
            `guest_directory` by a mount, and those of `guest_users`. A server of root admits these users; everybody may
            pass the directory of the socket then, whose other sockets stay closed.
        guest_users: ids of users as whom programs run, besides those of containers.

    Raises `ConfigurationError` when the path cannot be used.
    """
    _allow_descriptors(settings.max_connections)
    admits_guests = for_guests and os.geteuid() == 0
    socket_file = await asyncio.to_thread(SocketFile.create, path, is_open=admits_guests, for_guests=for_guests)
    trusted = own_and_root() if users is None else users
    guests = _Either(GUEST_USERS, guest_users) if admits_guests else ()
    server = LocalServer(handler, settings, socket_file, trusted, guests=guests)
    server.start()
    return server


class _Either:
    """What is in one of two sets of users."""

    def __init__(self, first: Container[int], second: Container[int]) -> None:
        self._sets = (first, second)

    def __contains__(self, user: object) -> bool:
        return any(user in each for each in self._sets)


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
