"""Servers and clients over real sockets, on both QUIC libraries and across them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import ServerSettings, StreamHandler, TlsIdentity, payload_handler
from runtara_sdk.transport.quic import QuicClient, QuicServer, serve_quic

SETTINGS = ServerSettings()
LIBRARIES = ("aioquic", "qh3")

Serve = Callable[[StreamHandler], AbstractAsyncContextManager[tuple[QuicServer, QuicClient]]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TlsIdentity]:
    return make_test_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=[(client, server) for client in LIBRARIES for server in LIBRARIES], ids="-to-".join)
def serving(request: pytest.FixtureRequest, authority: tuple[Path, TlsIdentity]) -> Serve:
    """Serve with a handler and hand out a client, in each combination of libraries."""
    client_library, server_library = request.param
    ca_file, identity = authority

    @asynccontextmanager
    async def start(handler: StreamHandler) -> AsyncIterator[tuple[QuicServer, QuicClient]]:
        server = await serve_quic(handler, SETTINGS, identity, library=server_library)
        client = QuicClient(server.address, ca_file=ca_file, library=client_library)
        try:
            yield server, client
        finally:
            await client.close()
            await server.close(grace=0)

    return start


def answering(respond: Callable[[bytes], Awaitable[bytes | None]]) -> StreamHandler:
    return payload_handler(respond, SETTINGS)


async def echo(payload: bytes) -> bytes:
    return payload


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)
