"""The server dies without a word and comes back on the same port."""

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
from runtara_sdk.transport.quic import QuicClient

from .conftest import LIBRARIES

SCRIPT = Path(__file__).with_name("transport_server.py")
WAIT_SECONDS = 60.0
"""Half of the time after which an idle connection is given up: what comes sooner was noticed."""
CALL_MS = 300_000


class ServerProcess:
    """A server that can be killed and started again on its port."""

    def __init__(self, library: str, identity: TlsIdentity) -> None:
        self._library = library
        self._identity = identity
        self._process: asyncio.subprocess.Process | None = None
        self.port = choose_port(socket.SOCK_DGRAM)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            self._library,
            str(self.port),
            str(self._identity.certificate_path),
            str(self._identity.private_key_path),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self.port = int(await asyncio.wait_for(self._process.stdout.readline(), WAIT_SECONDS))

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture(params=[(client, server) for client in LIBRARIES for server in LIBRARIES], ids="-to-".join)
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[QuicClient, ServerProcess]]:
    client_library, server_library = request.param
    ca_file, identity = make_test_authority(tmp_path)
    server = ServerProcess(server_library, identity)
    await server.start()
    client = QuicClient(f"127.0.0.1:{server.port}", ca_file=ca_file, library=client_library)
    assert await client.call(b"echo hello") == b"hello"
    yield client, server
    await client.close()
    await server.kill()


async def test_a_call_in_flight_learns_of_the_death_by_the_next_packet(
    pair: tuple[QuicClient, ServerProcess],
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
    pair: tuple[QuicClient, ServerProcess],
) -> None:
    client, server = pair
    waiting = asyncio.create_task(client.call(b"sleep 60000", timeout_ms=CALL_MS))
    connection = client._connection
    assert connection is not None
    async with asyncio.timeout(WAIT_SECONDS):
        while connection.unanswered_since is not None:  # until the server has acknowledged the request
            await asyncio.sleep(0.01)
    await server.kill()
    with pytest.raises(ConnectionLostError):
        await asyncio.wait_for(waiting, WAIT_SECONDS)


async def test_after_a_restart_calls_go_on(pair: tuple[QuicClient, ServerProcess]) -> None:
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


async def test_an_idle_connection_is_replaced_without_an_error(pair: tuple[QuicClient, ServerProcess]) -> None:
    client, server = pair
    connection = client._connection
    assert connection is not None
    await server.kill()
    await server.start()
    # As after a second without traffic, whatever the machine's speed.
    connection.last_received_at -= 2
    assert await client.call(b"echo back") == b"back"


async def test_a_server_that_only_stands_still_keeps_its_calls(pair: tuple[QuicClient, ServerProcess]) -> None:
    client, server = pair
    connection = client._connection
    server.send_signal(signal.SIGSTOP)
    calls = [asyncio.create_task(client.call(b"echo %d" % number)) for number in range(5)]
    done, _ = await asyncio.wait(calls, timeout=1.5)
    assert not done
    server.send_signal(signal.SIGCONT)
    assert await asyncio.wait_for(asyncio.gather(*calls), WAIT_SECONDS) == [b"%d" % number for number in range(5)]
    assert client._connection is connection


async def test_a_server_that_appears_late_is_reached(tmp_path: Path) -> None:
    ca_file, identity = make_test_authority(tmp_path)
    server = ServerProcess("aioquic", identity)
    client = QuicClient(f"127.0.0.1:{server.port}", ca_file=ca_file)
    with pytest.raises(TransportError, match="Connection refused"):
        await client.connect()
    await server.start()
    assert await client.call(b"echo late") == b"late"
    await client.close()
    await server.kill()
