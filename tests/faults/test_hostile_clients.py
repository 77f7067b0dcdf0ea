"""Clients that flood, stall and lie: the daemon's memory stays bounded, others are served, and nothing is left behind.

Most attacks are made on either QUIC library and on local sockets. Those whose weapon is the datagram are QUIC's alone:
a local socket loses nothing, brings bytes in order, and knows no handshake. `test_hostile_local_peers.py` has the
attacks that only a local socket knows.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from attack import MEBIBYTE, request_of_state, serve_others, serving_attackers, under_attack
from daemon_process import DaemonProcess
from runtara_sdk.errors import RuntaraError
from runtara_sdk.protocol import environment_pb2
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport import TransportClient
from runtara_sdk.transport.quic import QuicClient
from runtara_sdk.transport.quic.library import ClientSecurity
from runtara_sdk.transport.quic.library_choice import select_library
from runtara_sdk.transport.stream import Stream

# The daemons of a kind are started once.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["aioquic", "qh3", "local"])
async def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[DaemonProcess]:
    """The daemons on each QUIC library and on local sockets."""
    async with serving_attackers(tmp_path_factory.mktemp("target"), request.param) as daemons:
        yield daemons


over_quic = pytest.mark.parametrize("target", ["aioquic", "qh3"], indirect=True, scope="module")


async def open_streams(client: TransportClient, count: int, opening: bytes, *, end: bool = False) -> list[Stream]:
    """Open as many calls as the peer allows, up to `count`, and send this on each."""
    await client.connect()
    connection = connection_of(client)
    streams: list[Stream] = []
    for number in range(count):
        if isinstance(client, QuicClient) and not connection.can_open_stream:
            break
        stream = connection.open_stream()
        stream.send(opening, end=end)
        streams.append(stream)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return streams


def connection_of(client: TransportClient) -> Any:
    return client._connection  # type: ignore[attr-defined]  # of both transports, and private


async def vanish(client: TransportClient) -> None:
    """Be gone without a word, as a machine that lost its power; of a local process the kernel tells."""
    if isinstance(client, QuicClient):
        connection_of(client)._send = lambda data, address: None
    await client.close()


def stop_reading(client: TransportClient) -> None:
    """Take nothing more from the connection; the windows of QUIC see to that when nothing is taken from streams."""
    if not isinstance(client, QuicClient):
        connection_of(client)._transport.pause_reading()


async def test_streams_that_are_opened_and_left(target: DaemonProcess) -> None:
    clients = [target.client("instance", library="aioquic") for _ in range(5)]
    async with under_attack(target):
        for client in clients:
            await open_streams(client, 1_000, b"\0\0\0")
        # Refused over the bound, and given up after the deadline of a request.
        while (await target.load())["instance"].streams > 500:
            await asyncio.sleep(0.05)
        for client in clients:
            await vanish(client)


async def test_requests_that_never_become_whole(target: DaemonProcess) -> None:
    """Slow writers: each stream announces much, sends some of it, then a byte now and then."""
    announced = encode_frame(FrameType.REQUEST, bytes(32 * MEBIBYTE))[:6] + bytes(2 * MEBIBYTE)
    clients = [target.client("instance", library="aioquic") for _ in range(3)]
    async with under_attack(target) as witness:
        streams = [stream for client in clients for stream in await open_streams(client, 25, announced)]
        while any(stream.is_alive for stream in streams):
            for stream in streams:
                if stream.is_alive:
                    stream.send(b"\0")
            await asyncio.sleep(0.05)
        assert witness.peak_bytes
        for client in clients:
            await client.close()


async def test_answers_that_nobody_reads(target: DaemonProcess) -> None:
    opening = encode_frame(FrameType.REQUEST, await request_of_state(target, 2 * MEBIBYTE))
    readers = [target.client("instance", library="aioquic") for _ in range(3)]
    async with under_attack(target):
        streams = [stream for reader in readers for stream in await open_streams(reader, 100, opening, end=True)]
        for reader in readers:
            stop_reading(reader)
        # Nothing is taken from the streams: 600 MiB would wait for their readers.
        while (await target.load())["instance"].streams > 0:
            await asyncio.sleep(0.05)
        assert len(streams) == 300
        for reader in readers:
            await reader.close()


@over_quic
async def test_bytes_far_ahead_of_a_gap(target: DaemonProcess) -> None:
    """One byte at the end of each window makes a careless receiver reserve all that comes before it.

    A local socket brings bytes in order, so there are no gaps in them.
    """
    clients = [target.client("instance", library="aioquic") for _ in range(30)]
    async with under_attack(target):
        for client in clients:
            streams = await open_streams(client, 8, b"")
            connection = connection_of(client)
            for stream in streams:
                sender = connection._engine._streams[stream.stream_id].sender
                offset = 4 * MEBIBYTE - 1
                sender._buffer, sender._buffer_start, sender._buffer_stop = bytearray(b"x"), offset, offset + 1
                sender._pending.add(offset, offset + 1)
                sender.buffer_is_empty = False
            connection.transmit()
        for client in clients:
            await client.close()


async def test_many_tiny_frames_on_one_stream(target: DaemonProcess, rounds: int) -> None:
    frames = encode_frame(FrameType.REQUEST, b"") * 10_000
    client = target.client("instance", library="qh3")
    async with under_attack(target):
        (stream,) = await open_streams(client, 1, b"")
        try:
            for _ in range(10 * rounds):
                await stream.write(frames, deadline=asyncio.get_running_loop().time() + 30)
        except RuntaraError:
            pass  # The server has answered the first frame and needs no more.
        await client.close()


async def test_many_tiny_calls(target: DaemonProcess, rounds: int) -> None:
    client = target.client("instance", library="qh3")
    async with under_attack(target), asyncio.timeout(200):
        for _ in range(10 * rounds):
            await asyncio.gather(*(client.call(b"") for _ in range(100)))
        await client.close()


async def test_uploads_that_go_on_after_their_answer(target: DaemonProcess) -> None:
    """An image upload whose bytes exceed what was promised, endlessly."""
    start = environment_pb2.RegisterImageStreamStart(tenant_id="tenant", name="image", binary_size=1_000)
    request = environment_pb2.RpcRequest(register_image_stream=start).SerializeToString()
    client = target.client("environment", library="aioquic")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(65_536)

    async with under_attack(target, "environment"):
        answer = await client.call_streaming(request, endless(), timeout_ms=60_000)
        response = environment_pb2.RpcResponse.FromString(answer)
        assert response.WhichOneof("response") == "error" or not response.register_image.success
        await client.close()


@over_quic
async def test_handshakes_that_nobody_completes(target: DaemonProcess, rounds: int) -> None:
    """A local socket has no handshake; those who connect to one and say nothing have a test of their own."""
    draw = random.Random(1)
    genuine = [first_packet(target) for _ in range(60)]
    host = udp_address(target)
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flood.setblocking(False)
    async with under_attack(target) as witness:
        for number in range(1_000 * rounds):
            packet = bytearray(draw.choice(genuine))
            if number % 3:
                # Another connection to the server, and bytes that it cannot decrypt.
                packet[6:14] = draw.randbytes(8)
            with_room = asyncio.get_running_loop().time() + 5
            while asyncio.get_running_loop().time() < with_room:
                try:
                    flood.sendto(packet, host)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0)
            if number % 20 == 0:
                await asyncio.sleep(0)
        load = (await target.load())["instance"]
        assert load.connections <= 64 + 2
        # Newcomers get in while the handshakes of the attack are pending.
        newcomer = target.client("instance", library=draw.choice(("aioquic", "qh3")))
        await serve_others(newcomer)
        await newcomer.close()
        assert witness.calls
    flood.close()


def udp_address(target: DaemonProcess) -> tuple[str, int]:
    host, _, port = target.addresses["instance"].rpartition(":")
    return host, int(port)


def first_packet(target: DaemonProcess) -> bytes:
    """What a client sends first."""
    security = ClientSecurity("localhost", target.ca_file, verify=True)
    engine = select_library("aioquic").client_engine(security, idle_timeout_ms=1_000, on_loopback=False)
    engine.connect(("127.0.0.1", 1), now=time.monotonic())
    ((data, _), *_) = engine.datagrams_to_send(now=time.monotonic())
    return data


@over_quic
async def test_datagrams_of_noise(target: DaemonProcess, rounds: int) -> None:
    """Noise on a local socket harms the connection that it comes on; it has a test of its own."""
    draw = random.Random(2)
    client = target.client("instance", library="aioquic")
    await client.connect()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
        noise.setblocking(False)
        async with under_attack(target):
            for number in range(2_000 * rounds):
                data = bytearray(draw.randbytes(draw.choice((1, 20, 60, 1_200, 1_500, 9_000))))
                if number % 2:
                    data[:6] = bytes((0xC0 | draw.randrange(16), 0, 0, 0, draw.randrange(2), draw.randrange(22)))[
                        : len(data)
                    ]
                try:
                    noise.sendto(data, udp_address(target))
                except BlockingIOError:
                    await asyncio.sleep(0)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert connection_of(client).is_open
            await client.close()
