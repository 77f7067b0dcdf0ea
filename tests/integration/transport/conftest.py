"""Servers and clients over real sockets: on both QUIC libraries and across them, and on the local transport."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import ServerSettings, StreamHandler, TlsIdentity, payload_handler
from runtara_sdk.transport.local import LocalClient, LocalServer, serve_local
from runtara_sdk.transport.quic import QuicClient, QuicServer, serve_quic

SETTINGS = ServerSettings()
LIBRARIES = ("aioquic", "qh3")

LOCAL = ("local", "local")
QUIC_PAIRS = [(client, server) for client in LIBRARIES for server in LIBRARIES]
"""Library of the client, library of the server."""

Server = QuicServer | LocalServer
Client = QuicClient | LocalClient
Serve = Callable[[StreamHandler], AbstractAsyncContextManager[tuple[Server, Client]]]
ServeQuic = Callable[[StreamHandler], AbstractAsyncContextManager[tuple[QuicServer, QuicClient]]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TlsIdentity]:
    return make_test_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """Where a socket may lie: the paths of test directories are too long for one."""
    with tempfile.TemporaryDirectory(prefix="runtara-") as directory:
        yield Path(directory) / "run" / "test.sock"


@pytest.fixture(params=[*QUIC_PAIRS, LOCAL], ids="-to-".join)
def serving(request: pytest.FixtureRequest, authority: tuple[Path, TlsIdentity], socket_path: Path) -> Serve:
    """Serve with a handler and hand out a client, on each transport."""
    return (
        partial(start_local, socket_path) if request.param == LOCAL else partial(start_quic, request.param, authority)
    )


@pytest.fixture(params=QUIC_PAIRS, ids="-to-".join)
def quic_serving(request: pytest.FixtureRequest, authority: tuple[Path, TlsIdentity]) -> ServeQuic:
    """Serve with a handler and hand out a client, in each combination of QUIC libraries."""
    return partial(start_quic, request.param, authority)


@asynccontextmanager
async def start_quic(
    libraries: tuple[str, str], authority: tuple[Path, TlsIdentity], handler: StreamHandler
) -> AsyncIterator[tuple[QuicServer, QuicClient]]:
    ca_file, identity = authority
    server = await serve_quic(handler, SETTINGS, identity, library=libraries[1])
    client = QuicClient(server.address, ca_file=ca_file, library=libraries[0])
    try:
        yield server, client
    finally:
        await client.close()
        await server.close(grace=0)


@asynccontextmanager
async def start_local(path: Path, handler: StreamHandler) -> AsyncIterator[tuple[LocalServer, LocalClient]]:
    server = await serve_local(handler, SETTINGS, path)
    client = LocalClient(server.address)
    try:
        yield server, client
    finally:
        await client.close()
        await server.close(grace=0)


def answering(respond: Callable[[bytes], Awaitable[bytes | None]]) -> StreamHandler:
    return payload_handler(respond, SETTINGS)


async def echo(payload: bytes) -> bytes:
    return payload


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)
