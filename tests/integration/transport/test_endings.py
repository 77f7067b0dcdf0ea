"""Calls in flight when the server, the client or the caller gives up."""

from __future__ import annotations

import asyncio

import pytest
from runtara_sdk.errors import TransportError
from runtara_sdk.transport import ConnectionLostError

from .conftest import Serve, answering, until


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
