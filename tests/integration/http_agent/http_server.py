"""A server on loopback that shows what an HTTP client sent, and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    """A request as it arrived on the wire."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, f"{name} was sent {len(values)} times"
        return values[0] if values else None


Answer = tuple[int, dict[str, str], bytes]
Handler = Callable[[Received, asyncio.StreamWriter], Awaitable[Answer | None]]


@dataclass
class Server:
    """A small HTTP/1.1 server that shows exactly what it received; a handler may write raw bytes itself."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    handlers: dict[str, Handler] = field(default_factory=dict)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def answer(self, path: str, status: int = 200, body: Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        shown = {name.replace("_", "-"): value for name, value in headers.items()}

        async def handler(_request: Received, _writer: asyncio.StreamWriter) -> Answer:
            return status, shown, content

        self.handlers[path] = handler

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while (request := await self._read(reader, number)) is not None:
                self.received.append(request)
                path = request.target.partition("?")[0]
                handler = self.handlers.get(path)
                answer = await handler(request, writer) if handler else (200, {}, b'{"ok":true}')
                if answer is None:
                    return
                status, headers, content = answer
                lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers.items())]
                if status >= 200:
                    lines.append(f"Content-Length: {len(content)}")
                if request.method == "HEAD":
                    content = b""
                writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @staticmethod
    async def _read(reader: asyncio.StreamReader, number: int) -> Received | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        return Received(method, target, headers, await reader.readexactly(length), number)


async def started_server(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(scheme="https" if context else "http")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    listener.close()
