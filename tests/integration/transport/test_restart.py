"""The server dies without a word and comes back on the same port, or at the same path."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_core.testing.ports import choose_port
from runtara_sdk.errors import TransportError
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import ConnectionLostError, TlsIdentity
from runtara_sdk.transport.local import LocalClient
from runtara_sdk.transport.quic import QuicClient
from runtara_sdk.transport.quic.connection import Connection

from .conftest import LOCAL, QUIC_PAIRS, Client

SCRIPT = Path(__file__).with_name("transport_server.py")
WAIT_SECONDS = 60.0
"""Half of the time after which an idle connection is given up: what comes sooner was noticed."""
CALL_MS = 300_000


class ServerProcess:
    """A server that can be killed and started again at its place: a UDP port, or the path of a socket."""

    def __init__(self, kind: str, place: object, identity: TlsIdentity) -> None:
        self._arguments = (kind, str(place), str(identity.certificate_path), str(identity.private_key_path))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(SCRIPT), *self._arguments, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert await asyncio.wait_for(self._process.stdout.readline(), WAIT_SECONDS)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


Pair = tuple[Client, ServerProcess]


@pytest.fixture(params=[*QUIC_PAIRS, LOCAL], ids="-to-".join)
async def pair(request: pytest.FixtureRequest, tmp_path: Path, socket_path: Path) -> AsyncIterator[Pair]:
    client_library, server_library = request.param
    ca_file, identity = make_test_authority(tmp_path)
    client: Client
    if request.param == LOCAL:
        server = ServerProcess("local", socket_path, identity)
        client = LocalClient(f"unix://{socket_path}")
    else:
        port = choose_port(socket.SOCK_DGRAM)
        server = ServerProcess(server_library, port, identity)
        client = QuicClient(f"127.0.0.1:{port}", ca_file=ca_file, library=client_library)
    await server.start()
    assert await client.call(b"echo hello") == b"hello"
    yield client, server
    await client.close()
    await server.kill()


async def test_a_call_in_flight_learns_of_the_death_by_the_next_packet(
    pair: Pair,
) -> None:
    client, server = pair
    waiting = asyncio.create_task(client.call(b"sleep 60000", timeout_ms=CALL_MS))
    assert await client.call(b"echo on the way") == b"on the way"
    await server.kill()
    with pytest.raises(TransportError):
        await client.call(b"echo anybody")
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(waiting, WAIT_SECONDS)
    with pytest.raises(TransportError, match="cannot reach"):
        await client.call(b"echo anybody")


async def test_a_lone_call_in_flight_learns_of_the_death_without_other_traffic(
    pair: Pair,
) -> None:
    client, server = pair
    waiting = asyncio.create_task(client.call(b"sleep 60000", timeout_ms=CALL_MS))
    connection = client._connection
    assert connection is not None
    async with asyncio.timeout(WAIT_SECONDS):
        while not connection.open_streams:  # until the request has been sent
            await asyncio.sleep(0)
        if isinstance(connection, Connection):
            while connection.unanswered_since is not None:  # until the server has acknowledged it
                await asyncio.sleep(0.01)
    await server.kill()
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(waiting, WAIT_SECONDS)


async def test_after_a_restart_calls_go_on(pair: Pair) -> None:
    client, server = pair
    waiting = asyncio.create_task(client.call(b"sleep 60000", timeout_ms=CALL_MS))
    assert await client.call(b"echo on the way") == b"on the way"
    await server.kill()
    await server.start()
    try:
        answer = await client.call(b"echo back")
    except ConnectionLostError:
        # The restart was noticed by this very call; the next one has a new connection.
        answer = await client.call(b"echo back")
    assert answer == b"back"
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(waiting, WAIT_SECONDS)


async def test_an_idle_connection_is_replaced_without_an_error(pair: Pair) -> None:
    client, server = pair
    connection = client._connection
    assert connection is not None
    await server.kill()
    await server.start()
    # As after a second without traffic, whatever the machine's speed.
    connection.last_received_at -= 2
    assert await client.call(b"echo back") == b"back"


async def test_a_server_that_only_stands_still_keeps_its_calls(pair: Pair) -> None:
    client, server = pair
    connection = client._connection
    server.send_signal(signal.SIGSTOP)
    calls = [asyncio.create_task(client.call(b"echo %d" % number)) for number in range(5)]
    done, _ = await asyncio.wait(calls, timeout=1.5)
    assert not done
    server.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(asyncio.gather(*calls), WAIT_SECONDS) == [b"%d" % number for number in range(5)]
    assert client._connection is connection


async def test_a_server_that_appears_late_is_reached(pair: Pair) -> None:
    client, server = pair
    await server.kill()
    with pytest.raises(TransportError):
        await asyncio.wait_for(client.call(b"echo anybody"), WAIT_SECONDS)
    with pytest.raises(TransportError, match="cannot reach"):
        await client.call(b"echo anybody")
    await server.start()
    assert await client.call(b"echo late") == b"late"
