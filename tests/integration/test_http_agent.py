"""The HTTP agent against real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import datetime
import email.utils
import gzip
import ipaddress
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from runtara_agents_http import HttpAgent
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext

README = Path(__file__).parents[2] / "packages/runtara-agents-http/README.md"


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


async def _started(context: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(scheme="https" if context else "http")
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    yield server
    listener.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async for started in _started():
        yield started


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async for started in _started():
        yield started


@pytest.fixture
async def http() -> AsyncIterator[AgentDefinition]:
    definition = AgentDefinition.of(HttpAgent())
    yield definition
    await definition.close()


async def _error(http: AgentDefinition, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await http.invoke("http-request", inputs)
    return caught.value


async def test_a_get_returns_status_headers_and_parsed_body(http: AgentDefinition, server: Server) -> None:
    server.answer("/orders", body=[{"id": 1}], X_One="a")
    assert await http.invoke("request", {"url": f"{server.url}/orders"}) == {
        "status_code": 200,
        "headers": {"x-one": "a", "content-length": "11"},
        "body": [{"id": 1}],
        "success": True,
    }
    [request] = server.received
    assert (request.method, request.target, request.body) == ("GET", "/orders", b"")
    assert request.header("content-type") is None
    assert request.header("idempotency-key") is None


async def test_a_body_without_a_method_is_a_post_of_compact_json(http: AgentDefinition, server: Server) -> None:
    await http.invoke("request", {"url": server.url, "body": {"sku": 7, "name": "Käse"}})
    [request] = server.received
    assert request.method == "POST"
    assert request.body == '{"sku":7,"name":"Käse"}'.encode()
    assert request.header("content-type") == "application/json"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_every_method_but_head_may_have_a_body(http: AgentDefinition, server: Server, method: str) -> None:
    await http.invoke("request", {"url": server.url, "method": method, "body": {"a": 1}})
    assert (server.received[0].method, server.received[0].body) == (method, b'{"a":1}')


async def test_head_has_no_body_in_either_direction(http: AgentDefinition, server: Server) -> None:
    result = await http.invoke("request", {"url": server.url, "method": "HEAD"})
    assert (result["body"], result["headers"]["content-length"]) == ("", "11")
    error = await _error(http, url=server.url, method="HEAD", body={"a": 1})
    assert error.code == "HTTP_INVALID_BODY"


@pytest.mark.parametrize(
    ("inputs", "sent", "content_type"),
    [
        ({"body": "verbatim"}, b"verbatim", "application/json"),
        ({"body": False}, b"false", "application/json"),
        ({"body": 0}, b"0", "application/json"),
        ({"body": []}, b"[]", "application/json"),
        ({"body": None, "method": "POST"}, b"", None),
        ({"body": "", "method": "POST"}, b"", None),
        ({"body": "Grüße", "body_type": "text"}, "Grüße".encode(), "text/plain; charset=utf-8"),
        ({"body": "AAEC", "body_type": "binary"}, b"\x00\x01\x02", "application/octet-stream"),
        ({"body": [0, 255], "body_type": "binary"}, b"\x00\xff", "application/octet-stream"),
        ({"body": {"content": "AAEC", "mimeType": "image/png"}, "body_type": "binary"}, b"\0\1\2", "image/png"),
        ({"body": {"a": 1}, "headers": {"content-type": "application/x"}}, b'{"a":1}', "application/x"),
    ],
)
async def test_body_types(
    http: AgentDefinition, server: Server, inputs: dict[str, Any], sent: bytes, content_type: str | None
) -> None:
    await http.invoke("request", {"url": server.url, **inputs})
    assert server.received[0].body == sent
    assert server.received[0].header("content-type") == content_type


async def test_multipart_is_what_the_standard_parser_reads(http: AgentDefinition, server: Server) -> None:
    parts = [
        {"name": "note", "value": "hällo"},
        {"name": 'a"b\r\nc', "content": "AAEC", "filename": "x.bin", "contentType": "image/png"},
        {"name": "plain", "content": ""},
    ]
    await http.invoke("request", {"url": server.url, "body_type": "multipart", "multipart": parts})
    [request] = server.received
    assert request.method == "POST"
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.body)
    read = [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True), part.get_filename())
        for part in message.get_payload()  # type: ignore[union-attr]  # multipart: a list of messages
    ]
    assert read == [
        ("note", "hällo".encode(), None),
        ("a%22b%0D%0Ac", b"\x00\x01\x02", "x.bin"),
        ("plain", b"", None),
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        {"body": {"a": 1}, "body_type": "text"},
        {"body": "not base64!", "body_type": "binary"},
        {"body": [256], "body_type": "binary"},
        {"body": 7, "body_type": "binary"},
        {"body_type": "multipart"},
        {"body_type": "multipart", "body": "x", "multipart": [{"name": "a", "value": "b"}]},
        {"multipart": [{"name": "a", "value": "b"}]},
        {"body_type": "multipart", "multipart": [{"name": "a"}]},
        {"body_type": "multipart", "multipart": [{"name": "a", "value": "b", "content": ""}]},
        {"body_type": "multipart", "multipart": [{"name": "a", "value": "b", "contentType": "x\r\ny: z"}]},
    ],
)
async def test_bodies_that_do_not_fit_are_refused(
    http: AgentDefinition, server: Server, inputs: dict[str, Any]
) -> None:
    error = await _error(http, url=server.url, **inputs)
    assert (error.code, error.retryable) == ("HTTP_INVALID_BODY", False)
    assert server.received == []


@pytest.mark.parametrize(
    ("url", "query", "target"),
    [
        ("/o", {"state": "a b", "ü": "&="}, "/o?state=a%20b&%C3%BC=%26%3D"),
        ("/o?x=1", {"y": "2"}, "/o?x=1&y=2"),
        ("/o#part", {"y": 2}, "/o?y=2"),
        ("/o", {"id": [1, 2], "flag": True}, "/o?id=1&id=2&flag=true"),
        ("/o%20p?q=%2F", {}, "/o%20p?q=%2F"),
    ],
)
async def test_query_parameters(
    http: AgentDefinition, server: Server, url: str, query: dict[str, Any], target: str
) -> None:
    await http.invoke("request", {"url": server.url + url, "query_parameters": query})
    assert server.received[0].target == target


@pytest.mark.parametrize(
    ("content", "content_type", "response_type", "body"),
    [
        (b"", "application/json", "json", ""),
        (b"not json", "application/json", "json", "not json"),
        (b'{"a": NaN}', "application/json", "json", '{"a": NaN}'),
        (b"[" * 100_000, "application/json", "json", "[" * 100_000),
        (b"[1]", "text/plain", "json", [1]),
        (b"[1]", "text/plain", "text", "[1]"),
        ("grün".encode("latin-1"), "text/plain; charset=iso-8859-1", "text", "grün"),
        (b"\xff\xfe", "text/plain", "text", "\ufffd\ufffd"),
        (b"x", "text/plain; charset=no-such", "text", "x"),
        (b"x", "text/plain; charset=base64", "text", "x"),
        (b"\xff\x00", "application/octet-stream", "binary", base64.b64encode(b"\xff\x00").decode()),
    ],
)
async def test_response_types(
    http: AgentDefinition, server: Server, content: bytes, content_type: str, response_type: str, body: Any
) -> None:
    server.answer("/", body=content, Content_Type=content_type)
    result = await http.invoke("request", {"url": server.url, "response_type": response_type})
    assert result["body"] == body


async def test_compressed_responses_are_decoded(http: AgentDefinition, server: Server) -> None:
    server.answer("/", body=gzip.compress(b'{"a":1}'), Content_Encoding="gzip")
    assert (await http.invoke("request", {"url": server.url}))["body"] == {"a": 1}


@pytest.mark.parametrize("compressed", [False, True])
async def test_responses_are_bounded(http: AgentDefinition, server: Server, *, compressed: bool) -> None:
    content = b"0" * 50_001
    encoding = {"Content_Encoding": "gzip"} if compressed else {}
    server.answer("/", body=gzip.compress(content) if compressed else content, **encoding)
    error = await _error(http, url=server.url, max_response_bytes=50_000)
    assert (error.code, error.retryable) == ("HTTP_RESPONSE_TOO_LARGE", False)
    assert error.attributes["max_response_bytes"] == "50000"
    result = await http.invoke("request", {"url": server.url, "max_response_bytes": 50_001, "response_type": "text"})
    assert len(result["body"]) == 50_001


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (400, "HTTP_BAD_REQUEST", False),
        (401, "HTTP_UNAUTHORIZED", False),
        (403, "HTTP_FORBIDDEN", False),
        (404, "HTTP_NOT_FOUND", False),
        (408, "HTTP_TIMEOUT", True),
        (409, "HTTP_ERROR", False),
        (429, "HTTP_RATE_LIMITED", True),
        (500, "HTTP_INTERNAL_ERROR", True),
        (502, "HTTP_BAD_GATEWAY", True),
        (503, "HTTP_SERVICE_UNAVAILABLE", True),
        (504, "HTTP_GATEWAY_TIMEOUT", True),
        (507, "HTTP_ERROR", True),
        (304, "HTTP_ERROR", False),
        (302, "HTTP_ERROR", False),
        (600, "HTTP_ERROR", False),
    ],
)
async def test_status_errors(http: AgentDefinition, server: Server, status: int, code: str, *, transient: bool) -> None:
    body = b"" if status == 304 else b"busy"
    server.answer("/o", status=status, body=body)
    error = await _error(http, url=f"{server.url}/o")
    assert error.to_json() == {
        "code": code,
        "message": f"HTTP {status}: busy" if body else f"HTTP {status}",
        "category": "transient" if transient else "permanent",
        "severity": "warning" if transient else "error",
        "attributes": {"status_code": str(status), "url": f"{server.url}/o"},
    }
    result = await http.invoke("request", {"url": f"{server.url}/o", "failOnError": False})
    assert (result["status_code"], result["success"], result["body"]) == (status, False, body.decode())


async def test_long_error_bodies_are_cut(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=500, body=b"x" * 1_000_000)
    assert len((await _error(http, url=server.url)).message) < 2_100


@pytest.mark.parametrize("value", ["7", "date"])
async def test_retry_after_is_passed_on(http: AgentDefinition, server: Server, value: str) -> None:
    shown = email.utils.formatdate(time.time() + 7, usegmt=True) if value == "date" else value
    server.answer("/", status=429, Retry_After=shown)
    error = await _error(http, url=server.url)
    assert error.retry_after_ms is not None
    assert 5_000 <= error.retry_after_ms <= 7_000


async def test_unreadable_retry_after_is_ignored(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=503, Retry_After="soon")
    assert (await _error(http, url=server.url)).retry_after_ms is None


async def test_idempotency_key_goes_with_methods_that_change_things(http: AgentDefinition, server: Server) -> None:
    context = CapabilityContext(idempotency_key="key-1")
    for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"):
        await http.invoke("request", {"url": server.url, "method": method}, context)
    await http.invoke("request", {"url": server.url, "method": "POST", "headers": {"idempotency-key": "own"}}, context)
    keys = [request.header("idempotency-key") for request in server.received]
    assert keys == ["key-1"] * 4 + [None] * 2 + ["own"]


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
        error = await _error(http, url=server.url + path, timeout_ms=150)
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
        error = await _error(http, url=server.url + path)
        assert (error.code, error.retryable) == ("NETWORK_ERROR", True), path
        assert error.attributes == {"url": server.url + path}


async def test_nobody_listening_is_a_network_error(http: AgentDefinition) -> None:
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    error = await _error(http, url=f"http://127.0.0.1:{port}/x")
    assert (error.code, error.retryable) == ("NETWORK_ERROR", True)


@pytest.mark.parametrize(
    "url",
    [
        "/relative",
        "ftp://a.test/",
        "http://",
        "http:///x",
        "http://a b/",
        "http://a.test:x/",
        "http://a\r\nb/",
        "x",
        "http://a.test\\@b.test/",
    ],
)
async def test_unusable_urls_are_permanent_errors(http: AgentDefinition, url: str) -> None:
    error = await _error(http, url=url)
    assert (error.code, error.retryable) == ("HTTP_INVALID_URL", False)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nX-B: 2"},
        {"X A": "1"},
        {"": "1"},
        {"X-A": "日本"},
        {"x-a": "1", "X-A": "2"},
        {"Content-Length": "5"},
        {"Transfer-Encoding": "chunked"},
    ],
)
async def test_headers_that_cannot_be_sent_are_refused(
    http: AgentDefinition, server: Server, headers: dict[str, str]
) -> None:
    error = await _error(http, url=server.url, headers=headers)
    assert (error.code, error.retryable) == ("HTTP_INVALID_HEADER", False)
    assert server.received == []


async def test_redirects_are_followed(http: AgentDefinition, server: Server) -> None:
    server.answer("/see", status=303, Location="/end")
    server.answer("/keep", status=307, Location="/end")
    for path in ("/see", "/keep"):
        assert (await http.invoke("request", {"url": server.url + path, "body": {"a": 1}}))["success"]
    shown = [(request.method, request.target, request.body) for request in server.received]
    assert shown == [
        ("POST", "/see", b'{"a":1}'),
        ("GET", "/end", b""),
        ("POST", "/keep", b'{"a":1}'),
        ("POST", "/end", b'{"a":1}'),
    ]


async def test_endless_redirects_end(http: AgentDefinition, server: Server) -> None:
    server.answer("/loop", status=302, Location="/loop")
    error = await _error(http, url=f"{server.url}/loop")
    assert (error.code, error.retryable) == ("HTTP_TOO_MANY_REDIRECTS", False)
    assert len(server.received) == 11


async def test_redirects_to_other_schemes_are_refused(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=302, Location="file:///etc/passwd")
    assert (await _error(http, url=server.url)).code == "HTTP_INVALID_URL"


def _connection(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"integration_id": kind, "parameters": parameters, "connection_subtype": None}


@pytest.mark.parametrize(
    ("connection", "header", "value"),
    [
        (_connection("http_bearer", token="T"), "authorization", "Bearer T"),
        (_connection("bearer", token="T"), "authorization", "Bearer T"),
        (_connection("http_api_key", api_key="K"), "x-api-key", "K"),
        (_connection("api_key", api_key="K", header_name="X-Own"), "x-own", "K"),
        (_connection("http_basic", username="u", password="p"), "authorization", "Basic dTpw"),
        (_connection("basic_auth", username="u", password="p"), "authorization", "Basic dTpw"),
    ],
)
async def test_connections_authenticate(
    http: AgentDefinition, server: Server, connection: dict[str, Any], header: str, value: str
) -> None:
    await http.invoke("request", {"url": f"{server.url}/x", "_connection": connection})
    connection["parameters"]["base_url"] = f"{server.url}/v1"
    await http.invoke("request", {"url": "/y", "_connection": connection})
    assert [request.target for request in server.received] == ["/x", "/v1/y"]
    assert [request.header(header) for request in server.received] == [value, value]


async def test_headers_of_the_step_win_in_any_case(http: AgentDefinition, server: Server) -> None:
    connection = _connection("http_bearer", token="T")
    await http.invoke("request", {"url": server.url, "headers": {"authorization": "own"}, "_connection": connection})
    assert server.received[0].header("authorization") == "own"


async def test_credentials_stay_at_their_origin(http: AgentDefinition, server: Server, other_server: Server) -> None:
    connection = _connection("http_api_key", api_key="K", base_url=server.url)
    server.answer("/away", status=302, Location=f"{other_server.url}/landed")
    other_server.answer("/landed", status=302, Location=f"{server.url}/back")
    await http.invoke("request", {"url": f"{other_server.url}/absolute", "_connection": connection})
    await http.invoke("request", {"url": "/away", "_connection": connection})
    assert [request.header("x-api-key") for request in other_server.received] == [None, None]
    assert [request.header("x-api-key") for request in server.received] == ["K", "K"]


async def test_a_relative_url_cannot_move_to_another_host(http: AgentDefinition, server: Server) -> None:
    connection = _connection("http_bearer", token="T", base_url="http://127.0.0.1")
    for url in (f":{server.port}/x", "@localhost/", ".evil.test/"):
        error = await _error(http, url=url, _connection=connection)
        assert error.code == "HTTP_INVALID_URL"
    assert server.received == []


@pytest.mark.parametrize(
    "connection",
    [
        _connection("sftp", host="x"),
        _connection("http_bearer"),
        _connection("http_bearer", token=None),
        _connection("http_bearer", token=7),
    ],
)
async def test_unusable_connections_are_permanent_errors(
    http: AgentDefinition, server: Server, connection: dict[str, Any]
) -> None:
    error = await _error(http, url=server.url, _connection=connection)
    assert (error.code, error.retryable) == ("CAPABILITY_ERROR", False)


async def test_secrets_are_not_shown(http: AgentDefinition, server: Server) -> None:
    connection = _connection("http_bearer", token="hunter2\r\nX: y")
    error = await _error(http, url=server.url, _connection=connection)
    assert error.code == "HTTP_INVALID_HEADER"
    assert "hunter2" not in json.dumps(error.to_json())
    server.answer("/", status=500)
    error = await _error(http, url=f"http://user:hunter2@127.0.0.1:{server.port}/")
    assert "hunter2" not in json.dumps(error.to_json())


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


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def test_tls_is_verified_and_a_private_authority_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async for secure_server in _started(context):
        stranger, friend = AgentDefinition.of(HttpAgent()), AgentDefinition.of(HttpAgent())
        error = await _error(stranger, url=secure_server.url)
        assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await friend.invoke("request", {"url": secure_server.url}))["success"]
        await stranger.close()
        await friend.close()


async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(tmp_path))
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    async for secure_server in _started(context):
        for path in (text, tmp_path / "absent.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(path))
            agent = AgentDefinition.of(HttpAgent())
            error = await _error(agent, url=secure_server.url)
            assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
            assert str(path) in error.message
            await agent.close()


def test_only_what_a_call_needs_is_imported() -> None:
    code = (
        "import asyncio, sys; from runtara_agents_http.client import HttpClientPool\n"
        "async def main(): HttpClientPool('x').client()\n"
        "asyncio.run(main()); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "httpx" in loaded
    assert not {"rich", "click", "pygments", "httpx._main"} & set(loaded)


def _python_blocks(readme: Path) -> Iterable[str]:
    return re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)


async def test_the_readme_example_runs(server: Server) -> None:
    server.answer("/orders", status=201, body={"id": 12})
    [block] = _python_blocks(README)
    program = block.replace("https://api.example.com", server.url).replace("asyncio.run(main())", "")
    names: dict[str, Any] = {}
    exec(compile(program, str(README), "exec"), names)
    assert await names["main"]() == {"id": 12}
    [request] = server.received
    assert (request.method, request.body) == ("POST", b'{"sku":7,"quantity":2}')
