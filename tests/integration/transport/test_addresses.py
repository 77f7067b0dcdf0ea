"""Addresses: served, in use, silent, or with nobody behind them."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from runtara_sdk.errors import AddressInUseError, TransportError
from runtara_sdk.transport import ServerSettings, TlsIdentity
from runtara_sdk.transport.quic import QuicClient, serve_quic

from .conftest import LIBRARIES, answering, echo


@pytest.mark.parametrize("library", LIBRARIES)
async def test_nobody_listening_is_told_at_once(library: str) -> None:
    client = QuicClient("localhost:1", verify=False, library=library)
    with pytest.raises(TransportError, match="cannot reach localhost:1: Connection refused"):
        await asyncio.wait_for(client.call(b"anybody?"), 5)
    await client.close()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_silent_address_meets_the_connect_timeout(library: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        client = QuicClient(f"127.0.0.1:{hole.getsockname()[1]}", verify=False, library=library, connect_timeout_ms=300)
        with pytest.raises(TransportError, match=r"no answer within 0\.3 s"):
            await client.call(b"anybody?")
        await client.close()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_closing_the_client_while_it_dials_is_told_to_its_callers(library: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hole:
        hole.bind(("127.0.0.1", 0))
        client = QuicClient(f"127.0.0.1:{hole.getsockname()[1]}", verify=False, library=library)
        call = asyncio.create_task(client.call(b"anybody?"))
        await asyncio.get_running_loop().run_in_executor(None, hole.recv, 1)
        await client.close()
        with pytest.raises(TransportError, match="is closed"):
            await call


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"])
async def test_each_kind_of_host_is_served(authority: tuple[Path, TlsIdentity], library: str, host: str) -> None:
    ca_file, identity = authority
    server = await serve_quic(answering(echo), ServerSettings(host=host), identity, library=library)
    client = QuicClient(server.address, ca_file=ca_file, library=library)
    assert await client.call(b"hello") == b"hello"
    await client.close()
    await server.close()


async def test_a_port_in_use_is_a_clear_error(authority: tuple[Path, TlsIdentity]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        settings = ServerSettings(port=port, port_setting="RUNTARA_QUIC_PORT")
        with pytest.raises(AddressInUseError, match=rf"127\.0\.0\.1:{port}: the address is in use.*RUNTARA_QUIC_PORT"):
            await serve_quic(answering(echo), settings, authority[1])
