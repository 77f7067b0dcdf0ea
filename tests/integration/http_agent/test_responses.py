"""What becomes of an answer: its body by type, its size, its status, where it leads to."""

from __future__ import annotations

import base64
import email.utils
import gzip
import time
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
