"""What becomes of an answer: its body by type, its size, its status, where it leads to."""

from __future__ import annotations

import base64
import email.utils
import gzip
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition

from .conftest import error_of
from .http_server import Server


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
        (b"\xff\xfa", "text/plain", "text", "\ufffd\ufffd"),
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
    error = await error_of(http, url=server.url, max_response_bytes=50_000)
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
    error = await error_of(http, url=f"{server.url}/o")
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
    assert len((await error_of(http, url=server.url)).message) < 2_100


@pytest.mark.parametrize("value", ["7", "date"])
async def test_retry_after_is_passed_on(http: AgentDefinition, server: Server, value: str) -> None:
    shown = email.utils.formatdate(time.time() + 7, usegmt=True) if value == "date" else value
    server.answer("/", status=429, Retry_After=shown)
    error = await error_of(http, url=server.url)
    assert error.retry_after_ms is not None
    assert 5_000 <= error.retry_after_ms <= 7_000


async def test_unreadable_retry_after_is_ignored(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=503, Retry_After="soon")
    assert (await error_of(http, url=server.url)).retry_after_ms is None


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
    error = await error_of(http, url=f"{server.url}/loop")
    assert (error.code, error.retryable) == ("HTTP_TOO_MANY_REDIRECTS", False)
    assert len(server.received) == 11


async def test_redirects_to_other_schemes_are_refused(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=302, Location="file:///etc/passwd")
    assert (await error_of(http, url=server.url)).code == "HTTP_INVALID_URL"


WRAPPED = base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    ("content", "content_type", "body", "kind"),
    [
        (b'{"a": 1}', "application/problem+json", {"a": 1}, "json"),
        (b'"text"', "application/json", "text", "json"),
        (b"5", "text/plain", "5", "text"),
        (b' [1, "x"]', "text/html", [1, "x"], "json"),
        (b"[not json", "text/plain", "[not json", "text"),
        (b'{"a": 1}', "", {"a": 1}, "json"),
        (b"plain", "", "plain", "text"),
        (b"<a/>", "application/xml", "<a/>", "text"),
        (b"", "text/plain", "", "none"),
        (
            bytes(range(256)),
            "application/octet-stream",
            {"content": WRAPPED, "mimeType": "application/octet-stream"},
            "binary",
        ),
        (b"GIF89a\x00", "", {"content": base64.b64encode(b"GIF89a\x00").decode()}, "binary"),
        (b"\xff\xfa", "text/plain", {"content": "//o=", "mimeType": "text/plain"}, "binary"),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}, "json"),
        ('{"a": "ü"}'.encode("utf-16"), "application/json", {"a": "ü"}, "json"),
        (b"\xef\xbb\xbfhi", "text/plain", "hi", "text"),
        (b'{"a": 1e400, "b": -1e999}', "application/json", {"a": "1e400", "b": "-1e999"}, "json"),
        (
            b'["\\ud800", "\\ud83d\\ude00", {"\\udfff": 1}]',
            "application/json",
            ["\ufffd", "\U0001f600", {"\ufffd": 1}],
            "json",
        ),
        (b"[" + b"9" * 5000 + b"]", "application/json", ["9" * 5000], "json"),
    ],
)
async def test_a_body_arrives_as_it_was_sent(
    http: AgentDefinition, server: Server, content: bytes, content_type: str, body: Any, kind: str
) -> None:
    server.answer("/", body=content, **({"Content_Type": content_type} if content_type else {}))
    result = await http.invoke("request", {"url": server.url})
    assert (result["body"], result["body_kind"], result["body_intact"]) == (body, kind, True)


async def test_a_binary_answer_can_be_sent_on(http: AgentDefinition, server: Server) -> None:
    server.answer("/file", body=bytes(range(256)), Content_Type="image/x")
    got = await http.invoke("request", {"url": f"{server.url}/file"})
    await http.invoke("request", {"url": f"{server.url}/up", "body": got["body"], "bodyType": "binary"})
    assert (server.received[-1].body, server.received[-1].header("content-type")) == (bytes(range(256)), "image/x")


async def test_every_value_of_a_repeated_header_arrives(http: AgentDefinition, server: Server) -> None:
    async def answer(_request: Any, writer: Any) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    server.handlers["/"] = answer
    result = await http.invoke("request", {"url": server.url})
    cookies = [header["value"] for header in result["header_list"] if header["name"] == "set-cookie"]
    assert cookies == ["a=1", "b=2"]
    assert result["headers"]["set-cookie"] == "a=1, b=2"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "gzip, gzip", "two members"])
async def test_every_coding_that_is_asked_for(http: AgentDefinition, server: Server, coding: str) -> None:
    content = b"some text " * 20_000
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(content),
        "deflate": zlib.compress(content),
        "raw deflate": raw.compress(content) + raw.flush(),
        "gzip, gzip": gzip.compress(gzip.compress(content)),
        "two members": gzip.compress(content[:1000]) + gzip.compress(content[1000:]),
    }[coding]
    name = {"raw deflate": "deflate", "two members": "gzip"}.get(coding, coding)
    server.answer("/", body=packed, Content_Encoding=name, Content_Type="text/plain")
    result = await http.invoke("request", {"url": server.url})
    assert result["body"] == content.decode()
    assert server.received[0].header("accept-encoding") == "gzip, deflate"


@pytest.mark.parametrize("damage", ["cut", "no gzip"])
async def test_a_broken_coding_is_a_failure_of_the_network(http: AgentDefinition, server: Server, damage: str) -> None:
    body = gzip.compress(b"text" * 1000)[:-9] if damage == "cut" else b"plain"
    server.answer("/", body=body, Content_Encoding="gzip")
    error = await error_of(http, url=server.url)
    assert (error.code, error.retryable) == ("NETWORK_ERROR", True)


async def test_a_bomb_costs_no_memory(http: AgentDefinition, server: Server) -> None:
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([packer.compress(bytes(1_000_000)) for _ in range(300)] + [packer.flush()])
    server.answer("/", body=bomb, Content_Encoding="gzip")
    limit = 1_000_000
    await http.invoke("request", {"url": f"{server.url}/warm"})
    tracemalloc.start()
    try:
        error = await error_of(http, url=server.url, max_response_bytes=limit)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.code == "HTTP_RESPONSE_TOO_LARGE"
    assert peak < 5 * limit
