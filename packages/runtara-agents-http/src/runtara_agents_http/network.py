"""Connections to addresses that were checked: the network below the HTTP client.

The name is resolved once, every address is judged, and connections go to the numbers that passed, so that a name which
changes between look-up and connection leads nowhere else. TLS and the Host header keep the name. Addresses are tried
side by side, each a moment after the one before it (RFC 8305), for hosts of which one kind of address is broken.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore

from runtara_agents_http.address_guard import AddressGuard, RefusedAddress, literal_address
from runtara_agents_http.tcp_stream import TcpProtocol, TcpStream

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""From a host and a port to addresses, the preferred first; raises OSError when there are none."""

_NEXT_ATTEMPT_SECONDS = 0.25
_MOST_ADDRESSES = 16


class AddressRefusedError(Exception):
    """No address of a host may be connected to."""

    def __init__(self, host: str, address: str, refused: RefusedAddress) -> None:
        super().__init__(f"{host} is {address}, {refused.kind}")
        self.host = host
        self.address = address
        self.refused = refused


async def system_resolver(host: str, port: int) -> list[str]:
    """The addresses that the system knows."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects by TCP where the guard allows it."""

    def __init__(self, guard: AddressGuard, resolver: Resolver = system_resolver) -> None:
        self._guard = guard
        self._resolver = resolver

    def check_literal(self, host: str) -> None:
        """Raise `AddressRefusedError` when a host is itself an address that may not be connected to."""
        address = literal_address(host)
        if address is not None and (refused := self._guard.refusal(address)) is not None:
            raise AddressRefusedError(host, address, refused)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of the addresses of `host`.

        Raises:
            AddressRefusedError: none of them may be connected to.
            httpcore.ConnectError, httpcore.ConnectTimeout: none of them answers.
            UnicodeError: no host can have that name.
        """
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._allowed_addresses(host, port)
                return TcpStream(await _first_connection(addresses, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def _allowed_addresses(self, host: str, port: int) -> list[str]:
        address = literal_address(host)
        addresses = [address] if address is not None else await self._resolver(host, port)
        if not addresses:
            raise OSError(f"{host} has no address")
        judged = [(address, self._guard.refusal(address)) for address in addresses]
        allowed = [address for address, refused in judged if refused is None]
        if not allowed:
            address, refused = next((address, refused) for address, refused in judged if refused is not None)
            raise AddressRefusedError(host, address, refused)
        return _alternating(allowed)[:_MOST_ADDRESSES]

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Not offered: no URL leads to a local socket."""
        raise httpcore.ConnectError("local sockets are not offered")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def _connection(address: str, port: int) -> TcpProtocol:
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_connection(TcpProtocol, address, port)
    return protocol


async def _first_connection(addresses: list[str], port: int) -> TcpProtocol:
    """The first connection that succeeds; raises the OSError of the first address when none does."""
    if len(addresses) == 1:
        return await _connection(addresses[0], port)
    attempts: list[asyncio.Task[TcpProtocol]] = []
    winner: asyncio.Task[TcpProtocol] | None = None
    remaining = list(reversed(addresses))
    try:
        pending: set[asyncio.Task[TcpProtocol]] = set()
        while winner is None and (remaining or pending):
            if remaining:
                attempts.append(asyncio.ensure_future(_connection(remaining.pop(), port)))
                pending.add(attempts[-1])
            moment = _NEXT_ATTEMPT_SECONDS if remaining else None
            done, pending = await asyncio.wait(pending, timeout=moment, return_when=asyncio.FIRST_COMPLETED)
            winner = next((attempt for attempt in done if attempt.exception() is None), None)
        if winner is None:
            raise attempts[0].exception() or OSError("no connection")
        return winner.result()
    finally:
        for attempt in attempts:
            if attempt is not winner:
                attempt.add_done_callback(_discard)
                attempt.cancel()


def _discard(attempt: asyncio.Task[TcpProtocol]) -> None:
    """Close what came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()


def _alternating(addresses: list[str]) -> list[str]:
    """Addresses of both kinds in turns, beginning with the kind that the resolver prefers."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if (":" in address) != (":" in addresses[0])]
    mixed = [address for pair in zip(first, second, strict=False) for address in pair]
    shorter = min(len(first), len(second))
    return mixed + first[shorter:] + second[shorter:]
