"""The client of an address: of a local socket, or of a server that is reached over QUIC."""

from __future__ import annotations

from collections.abc import AsyncIterable
from pathlib import Path
from typing import Protocol

from runtara_sdk.transport.address import is_local


class TransportClient(Protocol):
    """Makes calls to one server, over a connection that it dials when needed and replaces when it has ended."""

    async def connect(self) -> None:
        """Reach the server now rather than with the first call; nothing when connected."""

    async def close(self) -> None:
        """End the connection and every call in flight. Calling again does nothing."""

    async def call(self, payload: bytes, *, timeout_ms: int | None = None, is_held: bool = False) -> bytes:
        """Send one request and return the answer. One that `is_held` is not expected to be answered soon.

        Raises `TransportError` when the request was not processed, `ConnectionLostError` when it may have been,
        `DeadlineExceededError` when no answer came in time, `ProtocolError` when the answer is none.
        """

    async def call_streaming(
        self, payload: bytes, chunks: AsyncIterable[bytes], *, timeout_ms: int | None = None
    ) -> bytes:
        """Like `call`, with raw bytes after the request, read as fast as the server takes them."""


def open_client(
    address: str,
    *,
    server_name: str = "localhost",
    ca_file: Path | None = None,
    verify: bool = True,
    connect_timeout_ms: int = 10_000,
    request_timeout_ms: int = 30_000,
) -> TransportClient:
    """A client of the server at `address`; nothing is dialled yet.

    Args:
        address: `unix:///absolute/path` for a local socket, `host:port` or `[ipv6]:port` for QUIC.
        server_name: the name that the server's certificate must carry (QUIC).
        ca_file: PEM file of the CA to trust; None trusts the public roots (QUIC).
        verify: False accepts any certificate (QUIC).
        connect_timeout_ms: for an attempt to connect.
        request_timeout_ms: for a call that names no time of its own; includes connecting.

    Raises `ConfigurationError` for an address of neither kind.
    """
    if is_local(address):
        from runtara_sdk.transport.local.client import LocalClient

        return LocalClient(address, connect_timeout_ms=connect_timeout_ms, request_timeout_ms=request_timeout_ms)
    from runtara_sdk.transport.quic.client import QuicClient

    return QuicClient(
        address,
        server_name=server_name,
        ca_file=ca_file,
        verify=verify,
        connect_timeout_ms=connect_timeout_ms,
        request_timeout_ms=request_timeout_ms,
    )
