"""The connection itself: what is not read makes the other side wait, and what ends or breaks is told."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import threading
from pathlib import Path

import httpcore
import pytest
from runtara_agents_http.address_guard import AddressGuard
from runtara_agents_http.network import GuardedBackend
from runtara_sdk.agents import AgentDefinition

from .certificates import Authority
from .conftest import error_of
from .http_server import Received, Server

BLOCK = bytes(range(256)) * 256
BLOCKS = 512  # 32 MiB


async def connected(port: int) -> httpcore.AsyncNetworkStream:
    return await GuardedBackend(AddressGuard()).connect_tcp("127.0.0.1", port, timeout=30)


async def test_a_slow_reader_makes_the_server_wait() -> None:
    is_held = asyncio.Event()
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        for _ in range(BLOCKS):
            writer.write(BLOCK)
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                is_held.set()
                await writer.drain()
            sent += len(BLOCK)
        writer.close()

    listener = await asyncio.start_server(flood, "127.0.0.1", 0)
    stream = await connected(listener.sockets[0].getsockname()[1])
    await asyncio.wait_for(is_held.wait(), 30)
    assert sent < BLOCKS * len(BLOCK)  # the rest is not in this process, nor on its way
    digest, size = hashlib.sha256(), 0
    while data := await stream.read(100_000, timeout=30):
        assert len(data) <= 100_000
        digest.update(data)
        size += len(data)
    assert size == BLOCKS * len(BLOCK)
    assert digest.digest() == hashlib.sha256(BLOCK * BLOCKS).digest()
    assert stream.get_extra_info("is_readable")  # the end can be read
    await stream.aclose()
    listener.close()


async def test_a_large_write_waits_for_a_slow_server() -> None:
    received = hashlib.sha256()
    done = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(50_000):
            received.update(data)
        done.set()
        writer.close()

    listener = await asyncio.start_server(swallow, "127.0.0.1", 0)
    stream = await connected(listener.sockets[0].getsockname()[1])
    assert not stream.get_extra_info("is_readable")
    for _ in range(BLOCKS):
        await stream.write(BLOCK, timeout=30)
    await stream.aclose()
    await asyncio.wait_for(done.wait(), 30)
    assert received.digest() == hashlib.sha256(BLOCK * BLOCKS).digest()
    listener.close()


async def test_a_reset_is_an_error_of_reading_and_of_writing() -> None:
    is_connected = threading.Event()  # else the reset may come while the client still looks whether it is connected

    def reset(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        is_connected.wait(30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=reset, args=(listener,))
        thread.start()
        stream = await connected(listener.getsockname()[1])
        is_connected.set()
        with pytest.raises(httpcore.ReadError):
            await stream.read(10, timeout=30)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"x", timeout=30)
        await asyncio.to_thread(thread.join)
        await stream.aclose()


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used(http: AgentDefinition, server: Server) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def answer_and_keep(_request: Received, writer: asyncio.StreamWriter) -> tuple[int, dict[str, str], bytes]:
        writers.append(writer)
        return 200, {}, b"{}"

    server.handlers["/"] = answer_and_keep
    for count in range(1, 4):
        assert (await http.invoke("request", {"url": server.url, "method": "POST", "body": 1}))["success"]
        assert server.connections == count
        writers[-1].close()
        await writers[-1].wait_closed()
        await _quiet_loop()


async def _quiet_loop() -> None:
    """Let the event loop see that the other side has closed, of which the kernel knows already."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_tls_that_breaks_in_the_middle_of_a_body_is_transient(http: AgentDefinition, tmp_path: Path) -> None:
    authority = Authority()
    context = authority.server_context(tmp_path)

    def break_off(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4096)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            # Without the farewell of TLS.
            raw = socket.socket(fileno=secure.detach())
            raw.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=break_off, args=(listener,))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        error = await error_of(http, url=url, ca_bundle=authority.certificate)
        assert (error.code, error.retryable) == ("NETWORK_ERROR", True)
        await asyncio.to_thread(thread.join)
