"""What arrives at the server: method, target, headers and body; and what is refused before it is sent."""

from __future__ import annotations

import email
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition, CapabilityContext

from .conftest import error_of
from .http_server import Server


async def test_a_get_returns_status_headers_and_parsed_body(http: AgentDefinition, server: Server) -> None:
    server.answer("/orders", body=[{"id": 1}], X_One="a")
    result = await http.invoke("request", {"url": f"{server.url}/orders"})
    assert 0 <= result.pop("elapsed_ms") < 60_000
    assert result == {
        "url": f"{server.url}/orders",
        "status_code": 200,
        "headers": {"x-one": "a", "content-length": "11"},
        "header_list": [{"name": "x-one", "value": "a"}, {"name": "content-length", "value": "11"}],
        "body": [{"id": 1}],
        "body_kind": "json",
        "body_intact": True,
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
    error = await error_of(http, url=server.url, method="HEAD", body={"a": 1})
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
    error = await error_of(http, url=server.url, **inputs)
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


async def test_idempotency_key_goes_with_methods_that_change_things(http: AgentDefinition, server: Server) -> None:
    context = CapabilityContext(idempotency_key="key-1")
    for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"):
        await http.invoke("request", {"url": server.url, "method": method}, context)
    await http.invoke("request", {"url": server.url, "method": "POST", "headers": {"idempotency-key": "own"}}, context)
    keys = [request.header("idempotency-key") for request in server.received]
    assert keys == ["key-1"] * 4 + [None] * 2 + ["own"]


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
    error = await error_of(http, url=url)
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
    error = await error_of(http, url=server.url, headers=headers)
    assert (error.code, error.retryable) == ("HTTP_INVALID_HEADER", False)
    assert server.received == []
