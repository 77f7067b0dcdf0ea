"""Calls over real sockets, on both QUIC libraries and across them."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from runtara_sdk.errors import ConfigurationError, DeadlineExceededError, ProtocolError, TransportError
from runtara_sdk.protocol.frame import Frame, FrameType, encode_frame
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import (
    ConnectionLostError,
    QuicClient,
    QuicServer,
    RequestStream,
    ServerSettings,
    StreamHandler,
    TlsIdentity,
    payload_handler,
    read_request,
    serve,
)
from runtara_sdk.transport.datagram import DatagramEndpoint

SETTINGS = ServerSettings()
LIBRARIES = ("aioquic", "qh3")
MEBIBYTE = 1024 * 1024

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
        server = await serve(handler, SETTINGS, identity, library=server_library)
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


async def test_a_connection_that_answers_survives_the_second_handshake(serving: Serve) -> None:
    """Also when a new call has just been sent at the moment at which the handshake completes."""
    async with serving(answering(echo)) as (_, client):
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


async def test_a_call_costs_one_datagram_each_way(serving: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
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

    async with serving(answering(think)) as (_, client):
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


@pytest.mark.parametrize("client_library", LIBRARIES)
async def test_an_upload_waits_for_a_reader_that_stands_still(
    authority: tuple[Path, TlsIdentity], client_library: str
) -> None:
    """On an aioquic server flow control follows the reader; qh3 has no such handle."""
    ca_file, identity = authority
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

    server = await serve(receive, SETTINGS, identity, library="aioquic")
    client = QuicClient(server.address, ca_file=ca_file, library=client_library)
    upload = asyncio.create_task(client.call_streaming(b"upload", chunks()))
    await until(lambda: sent >= 4 * MEBIBYTE)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < 8 * MEBIBYTE
    may_read.set()
    assert await upload == b"%d" % (20 * MEBIBYTE)
    await client.close()
    await server.close(grace=0)


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


async def test_closing_the_server_ends_calls_in_flight_and_refuses_new_ones(serving: Serve) -> None:
    started = asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return payload

    async with serving(answering(respond)) as (server, client):
        call = asyncio.create_task(client.call(b"waits"))
        await started.wait()
        await server.close(grace=0)
        with pytest.raises(ConnectionLostError):
            await asyncio.wait_for(call, 60)
        await until(lambda: not client.is_connected)
        with pytest.raises(TransportError, match="cannot reach"):
            await client.call(b"again")


async def test_closing_the_server_lets_calls_end_in_their_grace(serving: Serve) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        started.set()
        await may_end.wait()
        return payload

    async with serving(answering(respond)) as (server, client):
        call = asyncio.create_task(client.call(b"waits"))
        await started.wait()
        closing = asyncio.create_task(server.close(grace=10))
        may_end.set()
        assert await call == b"waits"
        await closing


async def test_closing_the_client_ends_its_calls_and_the_server_forgets_it(serving: Serve) -> None:
    started = asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        started.set()
        await asyncio.Event().wait()
        return payload

    async with serving(answering(respond)) as (server, client):
        call = asyncio.create_task(client.call(b"waits"))
        await started.wait()
        await client.close()
        with pytest.raises(TransportError):
            await call
        await until(lambda: server.connection_count == 0)
        with pytest.raises(TransportError, match="is closed"):
            await client.call(b"again")


async def test_a_cancelled_call_leaves_no_trace(serving: Serve) -> None:
    started = asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        if payload == b"slow":
            started.set()
            await asyncio.Event().wait()
        return payload

    async with serving(answering(respond)) as (_, client):
        call = asyncio.create_task(client.call(b"slow"))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await client.call(b"next") == b"next"
        connection = client._connection
        assert connection is not None
        assert connection.open_streams == 0


@pytest.mark.parametrize("server_library", LIBRARIES)
@pytest.mark.parametrize("client_library", LIBRARIES)
class TestTrust:
    async def test_another_authority_is_refused(
        self, tmp_path: Path, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        other_ca, _ = make_test_authority(tmp_path)
        await self.expect_refusal(authority[1], other_ca, "localhost", client_library, server_library)

    async def test_another_name_is_refused(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        await self.expect_refusal(authority[1], authority[0], "example.org", client_library, server_library)

    async def test_the_public_roots_do_not_trust_a_local_authority(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        await self.expect_refusal(authority[1], None, "localhost", client_library, server_library)

    async def test_a_client_without_verification_accepts_anybody(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        server = await serve(answering(echo), SETTINGS, authority[1], library=server_library)
        client = QuicClient(server.address, server_name="example.org", verify=False, library=client_library)
        assert await client.call(b"anybody") == b"anybody"
        await client.close()
        await server.close()

    @staticmethod
    async def expect_refusal(
        identity: TlsIdentity, ca_file: Path | None, server_name: str, client_library: str, server_library: str
    ) -> None:
        server = await serve(answering(echo), SETTINGS, identity, library=server_library)
        client = QuicClient(
            server.address, server_name=server_name, ca_file=ca_file, library=client_library, connect_timeout_ms=5_000
        )
        with pytest.raises(TransportError, match="TLS handshake failed") as refusal:
            await client.connect()
        assert not refusal.value.retryable
        assert not client.is_connected
        await client.close()
        await server.close()


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
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::"])
async def test_each_kind_of_host_is_served(authority: tuple[Path, TlsIdentity], library: str, host: str) -> None:
    ca_file, identity = authority
    server = await serve(answering(echo), ServerSettings(host=host), identity, library=library)
    client = QuicClient(server.address, ca_file=ca_file, library=library)
    assert await client.call(b"hello") == b"hello"
    await client.close()
    await server.close()


async def test_a_port_in_use_is_a_clear_error(authority: tuple[Path, TlsIdentity]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        settings = ServerSettings(port=port, port_setting="RUNTARA_QUIC_PORT")
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port}: the address is in use.*RUNTARA_QUIC_PORT"):
            await serve(answering(echo), settings, authority[1])


async def test_an_unusable_identity_is_a_clear_error(tmp_path: Path, authority: tuple[Path, TlsIdentity]) -> None:
    missing = TlsIdentity(tmp_path / "none.pem", tmp_path / "none-key.pem")
    with pytest.raises(ConfigurationError, match=r"cannot read the certificate .*none\.pem"):
        await serve(answering(echo), SETTINGS, missing)
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="are not a PEM certificate"):
        await serve(answering(echo), SETTINGS, TlsIdentity(broken, authority[1].private_key_path))


@pytest.mark.parametrize("library", LIBRARIES)
async def test_handlers_are_bounded(authority: tuple[Path, TlsIdentity], library: str) -> None:
    ca_file, identity = authority
    running = most = 0

    async def respond(payload: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return payload

    server = await serve(answering(respond), ServerSettings(max_handlers=3), identity, library=library)
    client = QuicClient(server.address, ca_file=ca_file, library=library)
    await asyncio.gather(*(client.call(b"x") for _ in range(50)))
    assert most <= 3
    await client.close()
    await server.close()
