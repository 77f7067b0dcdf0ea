"""Where a daemon is reached: its UDP ports, with the certificate that they show, and its local sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING

from runtara_sdk.clock import Clock
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import ServerSettings, StreamHandler
from runtara_sdk.transport.local import LocalServer, serve_local
from runtara_sdk.transport.local.peer import GUEST_USERS

if TYPE_CHECKING:
    from runtara_sdk.transport.quic import QuicServer

    from runtara_core.server_identity import IdentitySource, ServerIdentity

logger = logging.getLogger(__name__)

_CLOSE_GRACE_SECONDS = 5.0

MakeHandler = Callable[[ServerSettings], StreamHandler]
"""Makes the handler of calls, which keeps to the bounds of the server."""


class Listening:
    """The servers of a daemon; they begin and end together.

    Args:
        bind_address: address of the UDP ports; None opens none, makes no certificate, and loads nothing of QUIC.
        identity: where the certificate of the ports comes from.
    """

    def __init__(self, bind_address: str | None, identity: IdentitySource, clock: Clock) -> None:
        self._bind_address = bind_address
        self._identity_source = identity
        self._clock = clock
        self._identity: ServerIdentity | None = None
        self._ports: list[QuicServer] = []
        self._sockets: list[LocalServer] = []
        self._serves_ports_alone = False
        self._following: asyncio.Task[None] | None = None

    @property
    def ports(self) -> list[QuicServer]:
        """The servers on UDP ports, in the order in which they were opened."""
        return self._ports

    @property
    def sockets(self) -> list[LocalServer]:
        """The servers on local sockets, in the order in which they were opened."""
        return self._sockets

    @property
    def address(self) -> str:
        """Where a client of this machine reaches the first server: a port where there are ports, else a socket."""
        if self._ports:
            return self._ports[0].address
        if self._sockets:
            return self._sockets[0].address
        raise RuntimeError("the daemon is not started")

    @property
    def identity(self) -> ServerIdentity:
        """The certificate that the ports show; raises `RuntimeError` without ports."""
        if self._identity is None:
            raise RuntimeError("a daemon without ports has no certificate")
        return self._identity

    async def prepare(self) -> None:
        """Make or read the certificate of the ports. Raises `ConfigurationError`."""
        if self._bind_address is not None:
            self._identity = await asyncio.to_thread(self._identity_source.load)

    async def open_port(self, make_handler: MakeHandler, port: int, setting: str) -> None:
        """Serve on a UDP port, unless the daemon has none. Raises `ConfigurationError`, naming `setting`."""
        if self._bind_address is not None:
            from runtara_sdk.transport.quic import serve_quic

            settings = server_settings(self._bind_address, port, setting)
            self._ports.append(await serve_quic(make_handler(settings), settings, self.identity.tls))

    async def open_socket(
        self,
        make_handler: MakeHandler,
        path: Path,
        *,
        for_guests: bool = False,
        guest_users: Container[int] = GUEST_USERS,
    ) -> None:
        """Serve on a local socket, `for_guests` also programs of other users. Raises `ConfigurationError`.

        When another daemon of the data directory serves there, or its file system knows no sockets or modes, and this
        one has ports, these have to do, also instead of the sockets that it would open later: clients expect the
        sockets of one directory to be of one daemon.
        """
        if self._serves_ports_alone:
            return
        settings = server_settings(None, 0, "")
        try:
            self._sockets.append(
                await serve_local(
                    make_handler(settings), settings, path, for_guests=for_guests, guest_users=guest_users
                )
            )
        except ConfigurationError as error:
            if self._bind_address is None:
                raise
            self._serves_ports_alone = True
            logger.warning("%s; this daemon serves its ports alone", error.message)

    def follow_certificate(self) -> None:
        """Show renewed certificates from now on."""
        if self._ports:
            from runtara_core.server_identity import follow_identity

            self._following = asyncio.create_task(
                follow_identity(self._identity_source, self._ports, self._clock), name="follow certificates"
            )

    async def close(self) -> None:
        """Let calls in flight finish for a moment, then end all servers."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
            self._following = None
        servers: list[QuicServer | LocalServer] = [*self._ports, *self._sockets]
        for server in servers:
            with contextlib.suppress(Exception):
                await server.close(_CLOSE_GRACE_SECONDS)
        self._ports.clear()
        self._sockets.clear()


def server_settings(bind_address: str | None, port: int, setting: str) -> ServerSettings:
    """Address and bounds of a server, the bounds from the RUNTARA_QUIC_* variables."""
    return ServerSettings.from_environment(
        EnvironmentReader(), host=bind_address or "127.0.0.1", port=port, port_setting=setting
    )
