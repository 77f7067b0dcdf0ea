"""A call that is followed by a stream of bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_sdk.protocol.frame import Frame, FrameType
from runtara_sdk.transport import RequestStream, TlsIdentity, read_request

from .conftest import LIBRARIES, Serve, start_local, start_quic, until

MEBIBYTE = 1024 * 1024


async def test_an_upload_is_streamed_and_its_reader_sets_the_pace(serving: Serve) -> None:
    taken = sent = furthest_ahead = 0
    chunk = bytes(range(256)) * 256

    async def receive(stream: RequestStream) -> None:
        nonlocal taken
        assert await read_request(stream) == b"upload"
        digest = hashlib.sha256()
        async for piece in stream.read_chunks():
            digest.update(piece)
            taken += len(piece)
            await asyncio.sleep(0)
        await stream.write_frame(Frame(FrameType.RESPONSE, digest.digest()))

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent, furthest_ahead
        for _ in range(20 * MEBIBYTE // len(chunk)):
            yield chunk
            sent += len(chunk)
            furthest_ahead = max(furthest_ahead, sent - taken)

    async with serving(receive) as (_, client):
        digest = await client.call_streaming(b"upload", chunks())
    assert taken == 20 * MEBIBYTE
    assert digest == hashlib.sha256(chunk * (20 * MEBIBYTE // len(chunk))).digest()
    assert furthest_ahead < 12 * MEBIBYTE


@pytest.mark.parametrize("client_library", [*LIBRARIES, "local"])
async def test_an_upload_waits_for_a_reader_that_stands_still(
    authority: tuple[Path, TlsIdentity], socket_path: Path, client_library: str
) -> None:
    """On an aioquic server flow control follows the reader; qh3 has no such handle."""
    may_read = asyncio.Event()
    sent = 0

    async def receive(stream: RequestStream) -> None:
        await read_request(stream)
        await may_read.wait()
        size = 0
        async for piece in stream.read_chunks():
            size += len(piece)
        await stream.write_frame(Frame(FrameType.RESPONSE, b"%d" % size))

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(320):
            sent += 65536
            yield bytes(65536)

    is_local = client_library == "local"
    started = (
        start_local(socket_path, receive) if is_local else start_quic((client_library, "aioquic"), authority, receive)
    )
    async with started as (_, client):
        upload = asyncio.create_task(client.call_streaming(b"upload", chunks()))
        await until(lambda: sent >= 4 * MEBIBYTE)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 8 * MEBIBYTE
        may_read.set()
        assert await upload == b"%d" % (20 * MEBIBYTE)


async def test_an_upload_may_be_answered_before_its_end(serving: Serve) -> None:
    async def refuse(stream: RequestStream) -> None:
        await read_request(stream)
        await stream.write_frame(Frame(FrameType.RESPONSE, b"too large"))

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)

    async with serving(refuse) as (_, client):
        assert await client.call_streaming(b"upload", endless(), timeout_ms=10_000) == b"too large"
        assert client.is_connected
