"""Clients that flood, stall and lie: the daemon's memory stays bounded, others are served, and nothing is left behind.

The daemon runs in a process of its own with small bounds, so that exceeding them shows. While an attack runs, a
well-behaved client calls all the time, each call with a deadline; the resident memory is read all the time as well.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from daemon_process import DaemonProcess, Load
from runtara_sdk.errors import RuntaraError
from runtara_sdk.protocol import environment_pb2
from runtara_sdk.protocol import instance_pb2 as pb
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport.quic import QuicClient
from runtara_sdk.transport.quic.library import ClientSecurity
from runtara_sdk.transport.quic.library_choice import select_library
from runtara_sdk.transport.stream import Stream

MEBIBYTE = 1024 * 1024
BUFFERS = 48 * MEBIBYTE
MEMORY = 2 * BUFFERS + 112 * MEBIBYTE
"""Twice the bound, as shares may add up to, and what engines, streams and freed but unreturned memory take."""
CALL_SECONDS = 30.0
VARIABLES = {
    "RUNTARA_QUIC_MAX_BUFFERED_BYTES": str(BUFFERS),
    "RUNTARA_QUIC_MAX_STREAMS": "3000",
    "RUNTARA_QUIC_IDLE_TIMEOUT_MS": "10000",
    "RUNTARA_QUIC_KEEP_ALIVE_MS": "1000",
    "RUNTARA_QUIC_REQUEST_DEADLINE_MS": "2000",
    "RUNTARA_QUIC_HANDSHAKE_TIMEOUT_MS": "1500",
}


@dataclass
class Witness:
    """What a well-behaved client and an observer of memory saw."""

    slowest_seconds: float = 0.0
    calls: int = 0
    peak_bytes: int = 0
    failures: list[str] = field(default_factory=list)


@pytest.fixture(params=["aioquic", "qh3"])
async def target(request: pytest.FixtureRequest, daemon_process: DaemonProcess) -> AsyncIterator[DaemonProcess]:
    """The daemons on each QUIC library."""
    await daemon_process.start(**VARIABLES, RUNTARA_QUIC_LIBRARY=str(request.param))
    yield daemon_process
    assert "Traceback" not in daemon_process.log


@asynccontextmanager
async def under_attack(target: DaemonProcess, port: str = "instance") -> AsyncIterator[Witness]:
    """Others are served during the block, memory is bounded in it, and nothing of it is left afterwards."""
    witness = Witness()
    victim = target.client(port, library="qh3")
    await serve_others(victim)
    before = target.memory_bytes()
    watching = asyncio.create_task(watch(target, victim, witness))
    try:
        yield witness
        seen = witness.calls
        while witness.calls < seen + 2 and not watching.done():
            await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    print(
        f"memory {before // MEBIBYTE} -> {witness.peak_bytes // MEBIBYTE} MiB, {witness.calls} other calls, "
        f"slowest {witness.slowest_seconds:.2f} s"
    )
    assert not witness.failures
    assert witness.calls >= 2
    assert witness.peak_bytes - before < MEMORY
    await victim.close()
    async with asyncio.timeout(60):
        while (await target.load())[port] != Load(0, 0, 0):
            await asyncio.sleep(0.1)


async def watch(target: DaemonProcess, victim: QuicClient, witness: Witness) -> None:
    while True:
        started = time.monotonic()
        try:
            await serve_others(victim)
        except RuntaraError as error:
            witness.failures.append(f"{type(error).__name__}: {error}")
        witness.slowest_seconds = max(witness.slowest_seconds, time.monotonic() - started)
        witness.peak_bytes = max(witness.peak_bytes, target.memory_bytes())
        witness.calls += 1
        await asyncio.sleep(0.02)


async def serve_others(victim: QuicClient) -> None:
    """A call that every port answers, be it with an error."""
    assert await victim.call(b"", timeout_ms=round(CALL_SECONDS * 1000))


async def open_streams(client: QuicClient, count: int, opening: bytes, *, end: bool = False) -> list[Stream]:
    """Open as many calls as the peer allows, up to `count`, and send this on each."""
    await client.connect()
    connection: Any = client._connection
    streams: list[Stream] = []
    for number in range(count):
        if not connection.can_open_stream:
            break
        stream = connection.open_stream()
        stream.send(opening, end=end)
        streams.append(stream)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return streams


async def vanish(client: QuicClient) -> None:
    """Be gone without a word, as a machine that lost its power."""
    connection: Any = client._connection
    connection._send = lambda data, address: None
    await client.close()


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
    state = random.Random(0).randbytes(2 * MEBIBYTE)
    client = target.client("instance", library="aioquic")
    register = pb.RegisterInstanceRequest(instance_id="large", tenant_id="tenant")
    answer = pb.RpcResponse.FromString(await client.call(pb.RpcRequest(register_instance=register).SerializeToString()))
    request = pb.RpcRequest(epoch=answer.register_instance.epoch)
    if request.DESCRIPTOR.fields_by_name.get("instance_token"):
        request.instance_token = answer.register_instance.instance_token
    request.checkpoint.CopyFrom(pb.CheckpointRequest(instance_id="large", checkpoint_id="state", state=state))
    await client.call(request.SerializeToString())
    request.get_checkpoint.CopyFrom(pb.GetCheckpointRequest(instance_id="large", checkpoint_id="state"))
    opening = encode_frame(FrameType.REQUEST, request.SerializeToString())
    await client.close()

    readers = [target.client("instance", library="aioquic") for _ in range(3)]
    async with under_attack(target):
        streams = [stream for reader in readers for stream in await open_streams(reader, 100, opening, end=True)]
        # Nothing is taken from the streams: 600 MiB would wait for their readers.
        while (await target.load())["instance"].streams > 0:
            await asyncio.sleep(0.05)
        assert len(streams) == 300
        for reader in readers:
            await reader.close()


async def test_bytes_far_ahead_of_a_gap(target: DaemonProcess) -> None:
    """One byte at the end of each window makes a careless receiver reserve all that comes before it."""
    clients = [target.client("instance", library="aioquic") for _ in range(30)]
    async with under_attack(target):
        for client in clients:
            streams = await open_streams(client, 8, b"")
            connection: Any = client._connection
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


async def test_handshakes_that_nobody_completes(target: DaemonProcess, rounds: int) -> None:
    draw = random.Random(1)
    genuine = [first_packet(target) for _ in range(60)]
    host = ("127.0.0.1", target.ports["instance"])
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


def first_packet(target: DaemonProcess) -> bytes:
    """What a client sends first."""
    security = ClientSecurity("localhost", target.ca_file, verify=True)
    engine = select_library("aioquic").client_engine(security, idle_timeout_ms=1_000, on_loopback=False)
    engine.connect(("127.0.0.1", 1), now=time.monotonic())
    ((data, _), *_) = engine.datagrams_to_send(now=time.monotonic())
    return data


async def test_datagrams_of_noise(target: DaemonProcess, rounds: int) -> None:
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
                    noise.sendto(data, ("127.0.0.1", target.ports["instance"]))
                except BlockingIOError:
                    await asyncio.sleep(0)
                if number % 20 == 0:
                    await asyncio.sleep(0)
            assert client.is_connected
            await client.close()
