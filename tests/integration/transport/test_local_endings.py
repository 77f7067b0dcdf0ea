"""How calls and connections of the local transport end when the other side behaves badly or is gone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from runtara_sdk.errors import DeadlineExceededError, TransportError
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport import ConnectionLostError, RequestStream, ServerSettings, read_request
from runtara_sdk.transport.local import LocalClient, serve_local
from runtara_sdk.transport.local.framing import PREFACE, encode_data

from .conftest import SETTINGS, answering, echo, start_local, until

MEBIBYTE = 1024 * 1024


def request(number: int, payload: bytes, *, last: bool = True) -> bytes:
    return encode_data(number, encode_frame(FrameType.REQUEST, payload), last=last)


async def large_or_held(payload: bytes) -> bytes:
    if payload == b"held":
        await asyncio.Event().wait()
    return bytes(MEBIBYTE)


async def test_who_hangs_up_without_having_read_is_gone_at_once(socket_path: Path) -> None:
    async with start_local(socket_path, answering(large_or_held)) as (server, _):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(socket_path))
            peer.sendall(PREFACE + request(1, b"held") + request(2, b"large"))
            await until(lambda: server.open_streams == 2 and server.buffered_bytes > MEBIBYTE)
            peer.shutdown(socket.SHUT_WR)
            # Sooner than the deadline of requests, which ends the large answer alone.
            async with asyncio.timeout(SETTINGS.request_deadline_ms / 2000):
                while server.connection_count or server.open_streams or server.buffered_bytes:
                    await asyncio.sleep(0.005)


async def test_an_answer_that_leaves_after_the_end_of_its_connection_costs_no_error(
    socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtara_sdk.transport.local.connection._GOODBYE_SECONDS", 0.2)
    failures = loop_failures()
    server = await serve_local(answering(large_or_held), SETTINGS, socket_path)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.setblocking(False)
        peer.connect(str(socket_path))
        peer.sendall(PREFACE + request(1, b"large"))
        await until(lambda: server.buffered_bytes > MEBIBYTE)
        await server.close(grace=0)
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        while await loop.sock_recv(peer, MEBIBYTE):
            pass
    await asyncio.sleep(0.3)  # until after the goodbye
    assert failures == []


async def test_calls_that_a_closing_server_refuses_are_given_back(socket_path: Path) -> None:
    started, may_end = asyncio.Event(), asyncio.Event()

    async def respond(payload: bytes) -> bytes:
        started.set()
        await may_end.wait()
        return payload

    async with start_local(socket_path, answering(respond)) as (server, client):
        call = asyncio.create_task(client.call(b"waits"))
        await started.wait()
        closing = asyncio.create_task(server.close(grace=10))
        await asyncio.sleep(0)
        with pytest.raises(TransportError, match="refused the call"):
            await client.call(b"late")
        assert server.open_streams == 1
        may_end.set()
        assert await call == b"waits"
        await closing
        assert (server.open_streams, server.buffered_bytes) == (0, 0)


async def test_an_upload_that_was_begun_is_not_said_to_be_untouched(socket_path: Path) -> None:
    async def keep(stream: RequestStream) -> None:
        await read_request(stream)
        await stream.wait_disconnected()

    server = await serve_local(keep, ServerSettings(max_buffered_bytes=MEBIBYTE), socket_path)
    client = LocalClient(server.address)

    async def chunks() -> Any:
        for _ in range(64):
            yield bytes(65_536)

    with pytest.raises(ConnectionLostError):
        await client.call_streaming(b"upload", chunks())
    await until(lambda: server.open_streams == 0 and server.buffered_bytes == 0)
    await client.close()
    await server.close()


async def test_a_connection_that_the_server_has_left_carries_no_call(socket_path: Path) -> None:
    async with start_local(socket_path, answering(echo)) as (server, _):
        path = socket_path.with_name("former.sock")
        with socket.socket(socket.AF_UNIX) as former:
            former.bind(str(path))
            former.listen()
            client = LocalClient(f"unix://{path}")
            await client.connect()
            former.accept()[0].close()
        # The event loop has had no turn since: it does not know yet.
        socket_path.rename(path)
        assert await client.call(b"hello") == b"hello"
        assert server.connection_count == 1
        await client.close()


async def test_waiting_for_other_calls_ends_at_the_deadline(socket_path: Path) -> None:
    held = 0

    async def hold(payload: bytes) -> bytes:
        nonlocal held
        held += 1
        await asyncio.Event().wait()
        return payload

    async with start_local(socket_path, answering(hold)) as (_, client):
        calls = [asyncio.create_task(client.call(b"held")) for _ in range(1_000)]
        await until(lambda: held == 1_000)
        async with asyncio.timeout(10):
            with pytest.raises(DeadlineExceededError, match=r"did not answer within 0\.1 s"):
                await client.call(b"one more", timeout_ms=100)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


async def test_closing_the_client_while_it_dials_is_told_to_its_callers(socket_path: Path) -> None:
    socket_path.parent.mkdir()
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket(socket.AF_UNIX))
        full.bind(str(socket_path))
        full.listen(0)
        result = 0
        while result == 0:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            result = waiting.connect_ex(str(socket_path))
        client = LocalClient(f"unix://{socket_path}")
        call = asyncio.create_task(client.call(b"hello"))
        await asyncio.sleep(0.02)
        await client.close()
        with pytest.raises(TransportError, match="is closed"):
            await call


def loop_failures() -> list[dict[str, Any]]:
    """What the event loop complains of from now on."""
    failures: list[dict[str, Any]] = []
    keep: Callable[[Any, dict[str, Any]], None] = lambda _, context: failures.append(context)  # noqa: E731
    asyncio.get_running_loop().set_exception_handler(keep)
    return failures
