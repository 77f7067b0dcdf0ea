"""Calls: what they cost, how they overlap, how they fail alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from runtara_sdk.errors import DeadlineExceededError, ProtocolError
from runtara_sdk.protocol.frame import Frame, FrameType, encode_frame
from runtara_sdk.transport import ConnectionLostError, RequestStream, ServerSettings, TlsIdentity, read_request
from runtara_sdk.transport.local import LocalClient, serve_local
from runtara_sdk.transport.quic import QuicClient, serve_quic
from runtara_sdk.transport.quic.datagram import DatagramEndpoint

from .conftest import LIBRARIES, Client, Serve, ServeQuic, Server, answering, echo

MEBIBYTE = 1024 * 1024


async def test_a_connection_that_answers_survives_the_second_handshake(quic_serving: ServeQuic) -> None:
    """Also when a new call has just been sent at the moment at which the handshake completes."""
    async with quic_serving(answering(echo)) as (_, client):
        await client.call(b"first")
        first = client._connection
        done = False

        async def call_on() -> None:
            while not done:
                await client.call(b"on")

        calls = asyncio.create_task(call_on())
        for _ in range(10):
            await client._dial_once()
        done = True
        await calls
        assert client._connection is first


async def test_a_call_costs_one_datagram_each_way(quic_serving: ServeQuic, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acknowledgements ride on requests and answers, although the answer takes a while."""
    sent = 0
    send = DatagramEndpoint.send

    def counting(endpoint: DatagramEndpoint, data: bytes, address: object) -> None:
        nonlocal sent
        sent += 1
        send(endpoint, data, address)

    async def think(payload: bytes) -> bytes:
        for _ in range(10):
            await asyncio.sleep(0)
        return payload

    async with quic_serving(answering(think)) as (_, client):
        for _ in range(20):
            await client.call(b"before")
        monkeypatch.setattr(DatagramEndpoint, "send", counting)
        for _ in range(100):
            await client.call(b"x" * 230)
        # Two a call; a busy machine may delay some for so long that they are acknowledged apart.
        assert sent < 300


async def test_calls_one_after_another_use_one_connection(serving: Serve) -> None:
    async with serving(answering(echo)) as (server, client):
        for number in range(20):
            assert await client.call(b"%d" % number) == b"%d" % number
        assert client.is_connected
        assert server.connection_count == 1


async def test_an_empty_payload_passes(serving: Serve) -> None:
    async with serving(answering(echo)) as (_, client):
        assert await client.call(b"") == b""


async def test_many_concurrent_calls_overlap_and_share_one_handshake(serving: Serve) -> None:
    async with serving(answering(echo)) as (server, client):
        payloads = [b"call %d" % number for number in range(200)]
        for _ in range(3):
            assert await asyncio.gather(*map(client.call, payloads)) == payloads
        assert server.connection_count == 1


async def test_streams_are_served_concurrently(serving: Serve) -> None:
    first_may_end = asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        if payload == b"first":
            await first_may_end.wait()
        else:
            first_may_end.set()
        return payload

    async with serving(answering(respond)) as (_, client):
        first = asyncio.create_task(client.call(b"first"))
        assert await client.call(b"second") == b"second"
        assert await first == b"first"


async def test_large_payloads_pass_in_both_directions(serving: Serve) -> None:
    payload = bytes(range(256)) * (5 * MEBIBYTE // 256)
    async with serving(answering(echo)) as (_, client):
        assert await client.call(payload) == payload


async def test_a_slow_handler_meets_the_callers_deadline(serving: Serve) -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def never(stream: RequestStream) -> None:
        if await read_request(stream) == b"quick":
            await stream.write_frame(Frame(FrameType.RESPONSE, b"here"))
            return
        begun.set()
        await stream.wait_disconnected()
        gone.set()

    async with serving(never) as (_, client):
        slow = asyncio.create_task(client.call(b"slow", timeout_ms=2_000))
        # A call given up before its request arrived would never have had a handler.
        await asyncio.wait_for(begun.wait(), 10)
        with pytest.raises(DeadlineExceededError, match=r"did not answer within 2 s"):
            await slow
        await asyncio.wait_for(gone.wait(), 10)
        assert await client.call(b"quick") == b"here"


async def test_a_failing_handler_costs_its_call_only(serving: Serve) -> None:
    async def respond(payload: bytes) -> bytes:
        if payload == b"fail":
            raise ValueError("broken on purpose")
        return payload

    async with serving(answering(respond)) as (server, client):
        outcomes = await asyncio.gather(
            *(client.call(payload) for payload in (b"fail", b"a", b"fail", b"b")), return_exceptions=True
        )
        assert [isinstance(outcome, ConnectionLostError) for outcome in outcomes] == [True, False, True, False]
        assert await client.call(b"still here") == b"still here"
        assert server.connection_count == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff\x00\x01" + bytes(100),
        encode_frame(FrameType.STREAM_DATA, b"not a request"),
        encode_frame(FrameType.REQUEST, b"cut short")[:-3],
        b"",
    ],
    ids=["other protocol", "oversize length", "wrong type", "cut short", "nothing"],
)
async def test_garbage_is_refused_and_the_connection_lives(serving: Serve, garbage: bytes) -> None:
    async with serving(answering(echo)) as (server, client):
        await client.connect()
        connection = client._connection
        assert connection is not None
        stream = connection.open_stream()
        stream.send(garbage, end=True)
        with pytest.raises(ProtocolError):
            await stream.read_frame(asyncio.get_running_loop().time() + 10)
        assert await client.call(b"alive") == b"alive"
        assert server.connection_count == 1


async def test_no_response_at_all_is_a_protocol_error(serving: Serve) -> None:
    async def silent(payload: bytes) -> None:
        return None

    async with serving(answering(silent)) as (_, client):
        with pytest.raises(ProtocolError, match="without a response"):
            await client.call(b"signal")


@pytest.mark.parametrize("kind", [*LIBRARIES, "local"])
async def test_handlers_are_bounded(authority: tuple[Path, TlsIdentity], socket_path: Path, kind: str) -> None:
    ca_file, identity = authority
    running = most = 0

    async def respond(payload: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return payload

    settings = ServerSettings(max_handlers=3)
    server: Server
    client: Client
    if kind == "local":
        server = await serve_local(answering(respond), settings, socket_path)
        client = LocalClient(server.address)
    else:
        server = await serve_quic(answering(respond), settings, identity, library=kind)
        client = QuicClient(server.address, ca_file=ca_file, library=kind)
    await asyncio.gather(*(client.call(b"x") for _ in range(50)))
    assert most <= 3
    await client.close()
    await server.close()
