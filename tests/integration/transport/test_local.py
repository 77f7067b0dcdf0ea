"""What the local transport alone has: a file in a private directory, peers known to the kernel, messages of its own."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from pathlib import Path

import pytest
from runtara_sdk.errors import ConfigurationError, DeadlineExceededError, TransportError
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport import RequestStream, ServerSettings, open_client, payload_handler, read_request
from runtara_sdk.transport.local import LocalClient, remove_stale, serve_local
from runtara_sdk.transport.local.framing import PREFACE, WINDOW_BYTES, encode_data
from runtara_sdk.transport.local.peer import GUEST_USERS

from .conftest import SETTINGS, answering, echo, start_local, until

MEBIBYTE = 1024 * 1024


async def test_an_address_of_the_scheme_makes_a_local_client(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)) as (server, _):
        assert server.address == f"unix://{socket_path}"
        client = open_client(server.address)
        assert isinstance(client, LocalClient)
        assert await client.call(b"hello") == b"hello"
        await client.close()


@pytest.mark.parametrize("address", ["unix://relative.sock", "unix://", "unix:///a\0b"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the address of a local socket"):
        open_client(address)


async def test_a_path_that_is_too_long_is_told_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "core.sock"
    refusal = r"bytes; the path of a socket may have 10\d: choose a directory"
    with pytest.raises(ConfigurationError, match=refusal):
        await serve_local(answering(echo), SETTINGS, path)
    with pytest.raises(ConfigurationError, match=refusal):
        LocalClient(f"unix://{path}")


async def test_nobody_listening_is_told_at_once(socket_path: Path) -> None:
    client = LocalClient(f"unix://{socket_path}")
    with pytest.raises(TransportError, match=r"cannot reach unix:///.*: no server listens there"):
        await client.call(b"anybody?")
    await client.close()


async def test_the_directory_is_private(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)):
        assert socket_path.parent.stat().st_mode & 0o777 == 0o700
        assert socket_path.stat().st_mode & 0o777 == 0o600
    assert not socket_path.exists()


async def test_a_directory_that_others_may_enter_is_refused(socket_path: Path) -> None:
    socket_path.parent.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="closed to others: run `chmod 700 "):
        await serve_local(answering(echo), SETTINGS, socket_path)
    socket_path.parent.chmod(0o700)
    socket_path.write_text("not a socket")
    with pytest.raises(ConfigurationError, match="a file that is no socket is there"):
        await serve_local(answering(echo), SETTINGS, socket_path)


async def test_a_second_server_is_refused_and_a_stale_file_replaced(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)) as (_, client):
        with pytest.raises(ConfigurationError, match="another process does; stop it"):
            await serve_local(answering(echo), SETTINGS, socket_path)
        assert await client.call(b"unharmed") == b"unharmed"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path))
    async with start_local(socket_path, answering(echo)) as (_, client):
        assert await client.call(b"again") == b"again"


async def test_sockets_of_killed_servers_are_removed_and_those_of_living_ones_stay(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)) as (_, client):
        killed = socket_path.with_name("killed.sock")
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(killed))
        killed.with_name("killed.sock.lock").touch()
        remove_stale(socket_path.parent, "lasting.sock")
        assert {path.name for path in socket_path.parent.iterdir()} == {socket_path.name, f"{socket_path.name}.lock"}
        assert await client.call(b"alive") == b"alive"
        async with start_local(killed, answering(echo)) as (_, other):
            assert await other.call(b"again") == b"again"


async def test_a_user_who_may_not_connect_is_refused(socket_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve_local(answering(echo), SETTINGS, socket_path, users=frozenset({os.geteuid() + 1}))
    client = LocalClient(server.address)
    with pytest.raises(TransportError):
        await client.call(b"let me in")
    assert f"process {os.getpid()} of user {os.geteuid()} may not use {socket_path}" in caplog.text
    assert server.connection_count == 0
    await client.close()
    await server.close()


async def raw(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(str(path))


async def ends(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(30):
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        return True


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 32], ids=["preface", "message"])
async def test_garbage_ends_its_connection_alone(socket_path: Path, garbage: bytes) -> None:
    async with start_local(socket_path, answering(echo)) as (_, client):
        await client.call(b"before")
        reader, writer = await raw(socket_path)
        writer.write(garbage)
        assert await ends(reader)
        writer.close()
        assert await client.call(b"after") == b"after"


async def test_a_client_that_says_nothing_is_dropped(socket_path: Path) -> None:
    server = await serve_local(answering(echo), ServerSettings(handshake_timeout_ms=100), socket_path)
    reader, writer = await raw(socket_path)
    assert await ends(reader)
    writer.close()
    await server.close()


async def test_who_sends_more_than_the_window_is_dropped(socket_path: Path) -> None:
    async def stand_still(stream: RequestStream) -> None:
        await read_request(stream)
        await stream.wait_disconnected()

    async with start_local(socket_path, stand_still) as (server, _):
        reader, writer = await raw(socket_path)
        writer.write(PREFACE + encode_data(1, encode_frame(FrameType.REQUEST, b"x"), last=False))
        chunk = encode_data(1, bytes(65_536), last=False)
        try:
            for _ in range(2 * WINDOW_BYTES // 65_536):
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        assert await ends(reader)
        writer.close()
        await until(lambda: server.connection_count == 0)


async def test_who_never_reads_is_held_to_a_bound_and_harms_nobody(socket_path: Path) -> None:
    async def large(payload: bytes) -> bytes:
        return bytes(MEBIBYTE) if payload == b"large" else payload

    settings = ServerSettings(request_deadline_ms=500)
    server = await serve_local(payload_handler(large, settings), settings, socket_path)
    client = LocalClient(server.address)
    _, writer = await raw(socket_path)
    writer.write(PREFACE)
    for number in range(1, 41):
        writer.write(encode_data(number, encode_frame(FrameType.REQUEST, b"large"), last=True))
    await until(lambda: server.open_streams > 20)
    assert await client.call(b"others") == b"others"
    await until(lambda: server.open_streams == 0)
    # That the calls were given up is still to be read.
    assert server.buffered_bytes < 1_000
    assert await client.call(b"still") == b"still"
    writer.close()
    await until(lambda: server.buffered_bytes == 0)
    await client.close()
    await server.close()


async def test_a_large_answer_lets_others_through(socket_path: Path) -> None:
    async def respond(payload: bytes) -> bytes:
        return bytes(48 * MEBIBYTE) if payload == b"large" else payload

    async with start_local(socket_path, answering(respond)) as (_, client):
        large = asyncio.create_task(client.call(b"large"))
        answered = 0
        while not large.done():
            await client.call(b"small")
            answered += 1
        assert len(await large) == 48 * MEBIBYTE
        assert answered > 20


async def test_a_half_closed_peer_is_gone(socket_path: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def wait(payload: bytes) -> bytes:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return payload

    async with start_local(socket_path, answering(wait)) as (server, _):
        _, writer = await raw(socket_path)
        writer.write(PREFACE + encode_data(1, encode_frame(FrameType.REQUEST, b"x"), last=True))
        await asyncio.wait_for(begun.wait(), 30)
        writer.write_eof()
        await asyncio.wait_for(ended.wait(), 30)
        await until(lambda: server.connection_count == 0)
        writer.close()


async def test_a_server_that_stands_still_meets_the_deadline(socket_path: Path) -> None:
    async def never(payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return payload

    async with start_local(socket_path, answering(never)) as (server, client):
        with pytest.raises(DeadlineExceededError, match=r"did not answer within 0\.2 s"):
            await client.call(b"x", timeout_ms=200)
        await until(lambda: server.open_streams == 0)
        assert client.is_connected


async def test_connections_are_bounded_and_the_idle_give_way(socket_path: Path) -> None:
    server = await serve_local(answering(echo), ServerSettings(max_connections=8), socket_path)
    clients = [LocalClient(server.address) for _ in range(40)]
    for client in clients:
        assert await client.call(b"here") == b"here"
    assert server.connection_count <= 8
    assert await clients[0].call(b"again") == b"again"
    for client in clients:
        await client.close()
    await server.close()


async def test_a_thousand_clients_at_once_are_served(socket_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4_096:
        pytest.skip(f"this process may open {hard} files only")
    async with start_local(socket_path, answering(echo)) as (server, _):
        clients = [
            LocalClient(server.address, connect_timeout_ms=60_000, request_timeout_ms=60_000) for _ in range(1_000)
        ]
        assert await asyncio.gather(*(client.call(b"%d" % n) for n, client in enumerate(clients))) == [
            b"%d" % n for n in range(1_000)
        ]
        assert server.connection_count >= 1_000
        for client in clients:
            await client.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


_CONNECT_AS = """
import os, socket, sys
descriptor = os.open(sys.argv[1], os.O_PATH)  # a program in a container has the socket by a mount
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as connected:
    connected.settimeout(30)
    connected.connect(f"/proc/self/fd/{descriptor}")
    connected.recv(1)  # the server greets everybody, and only then looks who it is
    print("connected")
"""


@pytest.mark.privileged
@pytest.mark.parametrize(
    ("for_guests", "user", "answer", "is_refused"),
    [
        (True, GUEST_USERS[7], "connected", False),
        (True, 12_345, "connected", True),
        (False, GUEST_USERS[7], "PermissionError", False),
    ],
)
async def test_programs_in_containers_are_served_where_they_are_expected(
    socket_path: Path, caplog: pytest.LogCaptureFixture, for_guests: bool, user: int, answer: str, is_refused: bool
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    server = await serve_local(answering(echo), SETTINGS, socket_path, for_guests=for_guests)
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _CONNECT_AS, str(socket_path), str(user),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert program.stdout is not None
    said = b""
    async with asyncio.timeout(60):
        while line := await program.stdout.readline():
            said += line
        await program.wait()
    assert answer in said.decode()
    assert (f"of user {user} may not use" in caplog.text) is is_refused
    await server.close()
