"""The client on the network: connections are reused, break, stay silent or are given up; cookies are not kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from runtara_sdk.agents import AgentDefinition

from .conftest import error_of
from .http_server import Handler, Received, Server


async def test_connections_are_reused(http: AgentDefinition, server: Server) -> None:
    for _ in range(3):
        await http.invoke("request", {"url": server.url})
    assert server.connections == 1


async def test_cookies_are_not_kept(http: AgentDefinition, server: Server) -> None:
    server.answer("/", Set_Cookie="session=1; Path=/")
    for _ in range(2):
        await http.invoke("request", {"url": server.url})
    assert server.received[1].header("cookie") is None


async def test_slow_answers_end_at_the_deadline(http: AgentDefinition, server: Server) -> None:
    async def before_headers(_request: Received, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def in_the_body(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await asyncio.Event().wait()

    server.handlers = {"/headers": before_headers, "/body": in_the_body}
    for path in server.handlers:
        error = await error_of(http, url=server.url + path, timeout_ms=150)
        assert (error.code, error.retryable) == ("TIMEOUT", True)
        assert error.attributes == {"url": server.url + path}
    assert (await http.invoke("request", {"url": server.url}))["success"]


async def test_broken_connections_are_network_errors(http: AgentDefinition, server: Server) -> None:
    def raw(content: bytes) -> Handler:
        async def handler(_request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(content)

        return handler

    server.handlers = {
        "/nothing": raw(b""),
        "/garbage": raw(b"SSH-2.0-hello\r\n\r\n"),
        "/short": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
        "/chunk": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "/gzip": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n12345"),
    }
    for path in server.handlers:
        error = await error_of(http, url=server.url + path)
        assert (error.code, error.retryable) == ("NETWORK_ERROR", True), path
        assert error.attributes == {"url": server.url + path}


async def test_nobody_listening_is_a_network_error(http: AgentDefinition) -> None:
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    error = await error_of(http, url=f"http://127.0.0.1:{port}/x")
    assert (error.code, error.retryable) == ("NETWORK_ERROR", True)


async def test_cancellation_ends_a_call_and_leaves_the_client_usable(http: AgentDefinition, server: Server) -> None:
    arrived = asyncio.Event()

    async def hang(_request: Received, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    server.handlers["/hang"] = hang
    task = asyncio.ensure_future(http.invoke("request", {"url": f"{server.url}/hang"}))
    await asyncio.wait_for(arrived.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await http.invoke("request", {"url": server.url}))["success"]


def test_only_what_a_call_needs_is_imported() -> None:
    code = (
        "import asyncio, sys; from runtara_agents_http.client import HttpClientPool\n"
        "async def main(): HttpClientPool('x').client()\n"
        "asyncio.run(main()); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "httpx" in loaded
    assert not {"rich", "click", "pygments", "httpx._main"} & set(loaded)
