"""What a server on a local socket does about peers that break the rules or keep to them badly: bytes by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from runtara_sdk.protocol.frame import FrameDecoder, FrameType, encode_frame
from runtara_sdk.transport import ServerSettings, payload_handler
from runtara_sdk.transport.local import LocalClient, LocalServer, serve_local
from runtara_sdk.transport.local.framing import (
    PREFACE,
    Message,
    MessageDecoder,
    MessageKind,
    encode_code,
    encode_data,
    encode_window,
)
from runtara_sdk.transport.stream import INTERNAL_ERROR, NO_ERROR, NOT_PROCESSED

from .conftest import until

MEBIBYTE = 1024 * 1024


def request(number: int, payload: bytes) -> bytes:
    return encode_data(number, encode_frame(FrameType.REQUEST, payload), last=True)


async def respond(payload: bytes) -> bytes:
    """`held` is never answered, a number with so many bytes."""
    if payload == b"held":
        await asyncio.Event().wait()
    return bytes(int(payload)) if payload.isdigit() else payload


class RawPeer:
    """A connection without a client behind it."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._decoder = MessageDecoder()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setblocking(False)
        self.socket.connect(str(path))

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(30):
            await self._loop.sock_sendall(self.socket, data)

    async def receive(self) -> list[Message] | None:
        """The next messages; None when the server has ended the connection."""
        async with asyncio.timeout(30):
            while True:
                try:
                    data = await self._loop.sock_recv(self.socket, 65_536)
                except ConnectionResetError:
                    return None
                if not data:
                    return None
                messages = self._decoder.feed(data)
                if messages:
                    return messages

    def read_a_little(self) -> None:
        self._decoder.feed(self.socket.recv(16))

    async def answer(self, call: int) -> bytes:
        """The payload of the answer to a call; every message that comes must be of it."""
        frames = FrameDecoder()
        while True:
            messages = await self.receive()
            assert messages is not None
            for message in messages:
                assert message.call == call
                assert message.kind <= MessageKind.LAST
                frames.feed(message.content)
            frame = frames.next_frame()
            if frame is not None:
                return frame.payload


@dataclass
class Scene:
    """A server, a client that behaves, and the path where others connect."""

    server: LocalServer
    client: LocalClient
    path: Path

    async def peer(self) -> RawPeer:
        peer = RawPeer(self.path)
        await peer.send(PREFACE)
        return peer

    async def until_released(self) -> None:
        """Everybody but the client is gone, and with them what they held."""
        await until(
            lambda: (self.server.connection_count, self.server.open_streams, self.server.buffered_bytes) == (1, 0, 0)
        )
        assert await self.client.call(b"after") == b"after"


@asynccontextmanager
async def serving(path: Path, settings: ServerSettings) -> AsyncIterator[Scene]:
    server = await serve_local(payload_handler(respond, settings), settings, path)
    client = LocalClient(server.address)
    try:
        assert await client.call(b"before") == b"before"
        yield Scene(server, client, path)
    finally:
        await client.close()
        await server.close(grace=0)


@pytest.mark.parametrize(
    "rude",
    [
        (65_537).to_bytes(4, "big") + bytes(9),
        (0).to_bytes(4, "big") + (9).to_bytes(8, "big") + b"\x05",
        (3).to_bytes(4, "big") + (9).to_bytes(8, "big") + b"\x02abc",
        encode_data(9, b"", last=True) + encode_data(9, b"more", last=False),
        request(9, b"held") + encode_data(9, b"more", last=True),
    ],
    ids=["length beyond the bound", "unknown kind", "code cut short", "end, then more", "request, then more"],
)
async def test_a_peer_that_breaks_the_protocol_is_dropped(socket_path: Path, rude: bytes) -> None:
    async with serving(socket_path, ServerSettings()) as scene:
        peer = await scene.peer()
        await peer.send(request(8, b"held") + rude)
        while await peer.receive() is not None:
            pass
        await scene.until_released()


@pytest.mark.parametrize(
    "tail",
    [
        encode_code(7, MessageKind.RESET, INTERNAL_ERROR) + encode_code(700, MessageKind.RESET, INTERNAL_ERROR),
        encode_code(7, MessageKind.STOP, NO_ERROR) + encode_code(700, MessageKind.STOP, INTERNAL_ERROR),
        encode_window(7, 2**64 - 1) + encode_window(700, 0),
        encode_data(7, bytes(60_000), last=False) * 200 + encode_data(7, b"", last=True),
    ],
    ids=["cancel", "stop", "position", "bytes"],
)
async def test_what_comes_for_a_call_that_is_unknown_or_over_is_ignored(socket_path: Path, tail: bytes) -> None:
    """It may be the tail of a call that the other side has given up."""
    async with serving(socket_path, ServerSettings(max_buffered_bytes=MEBIBYTE)) as scene:
        peer = await scene.peer()
        await peer.send(request(7, b"seven"))
        assert await peer.answer(7) == b"seven"
        await until(lambda: scene.server.open_streams == 0)
        await peer.send(tail)
        await peer.send(request(6, b"a number that went by") + request(8, b"eight"))
        assert await peer.answer(8) == b"eight"
        assert scene.server.buffered_bytes == 0
        peer.socket.close()
        await scene.until_released()


async def test_more_calls_than_the_server_takes_are_refused_unread(socket_path: Path) -> None:
    async with serving(socket_path, ServerSettings(max_streams=50)) as scene:
        peer = await scene.peer()
        await peer.send(b"".join(request(number, b"held") for number in range(1, 201)))
        refused: list[int] = []
        while len(refused) < 150:
            for message in await peer.receive() or []:
                assert (message.kind, message.code) == (MessageKind.RESET, NOT_PROCESSED)
                refused.append(message.call)
        assert refused == list(range(51, 201))
        # The share of others is theirs all the same.
        assert await asyncio.gather(*(scene.client.call(b"%d" % size) for size in range(20))) == [
            bytes(size) for size in range(20)
        ]
        await peer.send(b"".join(encode_code(number, MessageKind.RESET, INTERNAL_ERROR) for number in range(1, 51)))
        await until(lambda: scene.server.open_streams == 0)
        await peer.send(request(201, b"room again"))
        assert await peer.answer(201) == b"room again"
        peer.socket.close()
        await scene.until_released()


async def test_halves_of_messages_are_held_to_the_bound(socket_path: Path) -> None:
    async with serving(socket_path, ServerSettings(max_buffered_bytes=MEBIBYTE)) as scene:
        peers = [await scene.peer() for _ in range(60)]
        await until(lambda: scene.server.connection_count == 61)
        for peer in peers:
            await peer.send(encode_data(1, bytes(60_000), last=True)[:-1])
        # Those who hold more than a share of the bound while it is exceeded are dropped.
        await until(lambda: MEBIBYTE // 2 < scene.server.buffered_bytes <= 2 * MEBIBYTE)
        await until(lambda: scene.server.connection_count < 40)
        for peer in peers:
            peer.socket.close()
        await scene.until_released()


async def test_short_answers_that_nobody_reads_are_held_to_the_bound(socket_path: Path) -> None:
    """Their calls are over at once; what waits in the connection counts nevertheless."""
    most = 0

    def are_dropped() -> bool:
        nonlocal most
        most = max(most, scene.server.buffered_bytes)
        return scene.server.connection_count == 1

    async with serving(socket_path, ServerSettings(max_buffered_bytes=MEBIBYTE)) as scene:
        peers = [await scene.peer() for _ in range(4)]
        await until(lambda: scene.server.connection_count == 5)
        for peer in peers:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await peer.send(b"".join(request(number, b"3000") for number in range(1, 1_001)))
        await until(are_dropped)
        assert MEBIBYTE // 4 < most <= 2 * MEBIBYTE
        await scene.until_released()
        for peer in peers:
            peer.socket.close()


async def test_a_reader_that_is_too_slow_is_cut_off_at_the_deadline(socket_path: Path) -> None:
    async with serving(socket_path, ServerSettings(request_deadline_ms=300)) as scene:
        peer = await scene.peer()
        await peer.send(request(1, b"%d" % (8 * MEBIBYTE)) + encode_window(1, 8 * MEBIBYTE))
        await until(lambda: scene.server.buffered_bytes > 7 * MEBIBYTE)
        # It reads all the time, and has allowed the server to send everything.
        while scene.server.open_streams:
            peer.read_a_little()
            await asyncio.sleep(0.005)
        await until(lambda: scene.server.buffered_bytes < MEBIBYTE)
        last = Message(0, MessageKind.DATA, b"")
        while last.kind is not MessageKind.RESET:
            last = (await peer.receive() or [])[-1]
        assert last.code == INTERNAL_ERROR
        peer.socket.close()
        await scene.until_released()
