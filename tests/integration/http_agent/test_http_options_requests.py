"""Options of a request: bodies, statuses, redirects, timeouts, files, proxies."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_http import HttpAgent, HttpRequestInput
from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import StreamedContent, open_exchange
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

from .conftest import error_of
from .http_server import Answer, Received, Server


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, limit_bytes=8 * 1024 * 1024)


async def invoke(http: AgentDefinition, workspace: Workspace, **inputs: Any) -> Any:
    return await http.invoke("request", inputs, CapabilityContext(workspace=workspace))


async def failure(http: AgentDefinition, workspace: Workspace, **inputs: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await invoke(http, workspace, **inputs)
    return caught.value


# Bodies


async def test_forms_and_lists_in_the_query(http: AgentDefinition, server: Server) -> None:
    await http.invoke(
        "request",
        {
            "url": server.url,
            "queryParameters": {"a": [1, "b c"], "on": True},
            "body_type": "form",
            "body": {"name": "Käse & Brot", "tag": ["x", 2], "on": False, "none": None},
        },
    )
    [request] = server.received
    assert (request.method, request.target) == ("POST", "/?a=1&a=b%20c&on=true")
    assert request.header("content-type") == "application/x-www-form-urlencoded"
    assert request.body == b"name=K%C3%A4se+%26+Brot&tag=x&tag=2&on=false&none="


async def test_files_of_the_workspace_are_sent(http: AgentDefinition, server: Server, workspace: Workspace) -> None:
    content = bytes(range(256)) * 8_000
    with workspace.create("in/big.bin") as file:
        file.write(content)
        file.commit()
    reference = {"$file": "in/big.bin"}
    server.answer("/moved", status=307, Location="/here")
    await invoke(http, workspace, url=f"{server.url}/moved", body_type="binary", body=reference)
    assert [request.body == content for request in server.received] == [True, True]
    assert server.received[1].header("content-length") == str(len(content))
    parts = [{"name": "f", "file": reference}, {"name": "g", "file": {"content": "aGk=", "filename": "g.txt"}}]
    await invoke(http, workspace, url=server.url, body_type="multipart", multipart=parts)
    assert content in server.received[2].body
    assert b'filename="g.txt"' in server.received[2].body
    error = await failure(http, workspace, url=server.url, body_type="binary", body={"$file": "none"})
    assert error.code == "FILE_NOT_FOUND"
    error = await error_of(http, url=server.url, body_type="binary", body=reference)
    assert error.code == "WORKSPACE_UNAVAILABLE"


async def test_header_values_beyond_ascii_arrive(http: AgentDefinition, server: Server) -> None:
    await http.invoke("request", {"url": server.url, "headers": {"X-Name": "Käse"}})
    assert server.received[0].header("x-name") == "Käse"
    error = await error_of(http, url=server.url, headers={"X-Name": "\u4e2d"})
    assert error.code == "HTTP_INVALID_HEADER"


# Statuses and bodies of responses


async def test_success_codes_decide_what_an_error_is(http: AgentDefinition, server: Server) -> None:
    for status in (200, 404, 500):
        server.answer(f"/{status}", status=status, body={"status": status})
    inputs: dict[str, Any] = {"url": f"{server.url}/404", "success_codes": ["2xx", 404]}
    result = await http.invoke("request", inputs)
    assert (result["status_code"], result["success"], result["body"]) == (404, True, {"status": 404})
    error = await error_of(http, url=f"{server.url}/200", success_codes=[404])
    assert (error.code, error.attributes["status_code"]) == ("HTTP_ERROR", "200")
    result = await http.invoke("request", {**inputs, "url": f"{server.url}/500", "fail_on_error": False})
    assert (result["status_code"], result["success"]) == (500, False)


async def test_waits_that_servers_ask_for_are_passed_on(http: AgentDefinition, server: Server) -> None:
    server.answer("/after", status=429, Retry_After="7")
    server.answer("/reset", status=503, X_RateLimit_Reset="9")
    server.answer("/permanent", status=403, Retry_After="7")
    waits = [(await error_of(http, url=server.url + path)).retry_after_ms for path in server.handlers]
    assert waits == [7_000, 9_000, None]


async def test_json_may_be_asked_for_strictly(http: AgentDefinition, server: Server) -> None:
    server.answer("/page", body=b"<html>", Content_Type="text/html")
    server.answer("/broken", body=b'{"a": ', Content_Type="application/json")
    server.answer("/empty", body=b"", Content_Type="application/json")
    server.answer("/none", status=204)
    server.answer("/bytes", body=b'{"a": "\xff"}', Content_Type="application/json")
    server.answer("/good", body={"a": 1}, Content_Type="application/json")
    codes: dict[str, list[tuple[str, str, bool]]] = {}
    for path in server.handlers:
        for response_type in ("json", "auto"):
            inputs = {"url": server.url + path, "response_type": response_type, "strict_json": True}
            try:
                await http.invoke("request", inputs)
            except AgentError as error:
                codes.setdefault(path, []).append((response_type, error.code, error.retryable))
    invalid = [(each, "HTTP_INVALID_JSON", False) for each in ("json", "auto")]
    assert codes == {"/page": invalid[:1], "/broken": invalid, "/empty": invalid, "/bytes": invalid}


async def test_bodies_are_streamed_into_the_workspace(
    http: AgentDefinition, server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 16_000
    server.answer("/plain", body=content, Content_Type="image/png; a=b")
    server.answer("/gzip", body=gzip.compress(content), Content_Encoding="gzip")
    for path in server.handlers:
        result = await invoke(http, workspace, url=server.url + path, response_type="file", save_to="in/one.bin")
        assert (result["body_kind"], result["success"]) == ("file", True)
        assert result["body"]["$file"] == "in/one.bin"
        assert result["body"]["size"] == len(content)
        assert result["body"]["sha256"] == hashlib.sha256(content).hexdigest()
        assert (tmp_path / "in/one.bin").read_bytes() == content
    assert result["body"].get("mimeType") is None


async def test_a_body_that_does_not_fit_leaves_no_file(
    http: AgentDefinition, server: Server, workspace: Workspace, tmp_path: Path
) -> None:
    async def broken(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")

    server.answer("/bomb", body=gzip.compress(bytes(64 * 1024 * 1024)), Content_Encoding="gzip")
    server.answer("/error", status=404, body=b"nothing")
    server.handlers["/broken"] = broken
    inputs = {"response_type": "file", "save_to": "a.bin"}
    error = await failure(http, workspace, url=f"{server.url}/bomb", max_response_bytes=1_000_000, **inputs)
    assert error.code == "HTTP_RESPONSE_TOO_LARGE"
    error = await failure(http, workspace, url=f"{server.url}/bomb", **inputs)
    assert error.code == "WORKSPACE_FULL"
    assert (await failure(http, workspace, url=f"{server.url}/error", **inputs)).code == "HTTP_NOT_FOUND"
    assert (await failure(http, workspace, url=f"{server.url}/broken", **inputs)).code == "NETWORK_ERROR"
    assert (await failure(http, workspace, url=server.url, response_type="file", save_to="../x")).code == (
        "WORKSPACE_PATH_INVALID"
    )
    assert (await error_of(http, url=server.url, **inputs)).code == "WORKSPACE_UNAVAILABLE"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


# Redirects


async def test_redirects_are_followed_as_far_as_the_step_says(http: AgentDefinition, server: Server) -> None:
    for number in range(4):
        server.answer(f"/{number}", status=302, Location=f"/{number + 1}")
    server.answer("/4", body={"end": True})
    result = await http.invoke("request", {"url": f"{server.url}/0"})
    assert (result["url"], result["body"]) == (f"{server.url}/4", {"end": True})
    assert server.connections == 1
    assert (await http.invoke("request", {"url": f"{server.url}/0", "max_redirects": 4}))["success"]
    error = await error_of(http, url=f"{server.url}/0", max_redirects=3)
    assert error.code == "HTTP_TOO_MANY_REDIRECTS"
    assert "3 times" in error.message


async def test_a_redirect_may_be_a_response(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=302, Location="/elsewhere")
    inputs = {"url": server.url, "follow_redirects": False}
    result = await http.invoke("request", {**inputs, "success_codes": ["3xx"]})
    assert (result["status_code"], result["headers"]["location"]) == (302, "/elsewhere")
    error = await error_of(http, **inputs)
    assert (error.code, error.attributes["status_code"]) == ("HTTP_ERROR", "302")
    assert len(server.received) == 2


async def test_the_url_of_the_result_shows_no_password(http: AgentDefinition, server: Server) -> None:
    result = await http.invoke("request", {"url": f"http://u:hunter2@127.0.0.1:{server.port}/x"})
    assert result["url"] == f"{server.url}/x"


async def test_a_name_that_no_host_can_have_is_refused_for_good(http: AgentDefinition) -> None:
    error = await error_of(http, url=f"http://{'a' * 64}.test/")
    assert (error.code, error.retryable) == ("HTTP_INVALID_URL", False)


# Timeouts


async def test_a_server_may_be_silent_for_no_longer_than_the_read_timeout(
    http: AgentDefinition, server: Server
) -> None:
    async def silent(_request: Received, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def halfway(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
        await asyncio.Event().wait()

    async def slow_but_steady(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.05)
            writer.write(b"1")

    server.handlers = {"/silent": silent, "/halfway": halfway, "/steady": slow_but_steady}
    for path in ("/silent", "/halfway"):
        error = await error_of(http, url=server.url + path, read_timeout_ms=200)
        assert (error.code, error.retryable) == ("HTTP_READ_TIMEOUT", True)
        assert error.attributes == {"url": server.url + path}
    # Longer than the read timeout in all, but never silent for that long.
    result = await http.invoke("request", {"url": f"{server.url}/steady", "read_timeout_ms": 400})
    assert result["elapsed_ms"] >= 450


async def test_a_server_that_takes_nothing_ends_by_the_read_timeout(http: AgentDefinition) -> None:
    async def deaf(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        await asyncio.Event().wait()

    listener = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    port = listener.sockets[0].getsockname()[1]
    body = base64.b64encode(bytes(32 * 1024 * 1024)).decode()
    error = await error_of(
        http, url=f"http://127.0.0.1:{port}/", body_type="binary", body=body, read_timeout_ms=300, timeout_ms=60_000
    )
    assert (error.code, error.retryable) == ("HTTP_READ_TIMEOUT", True)
    listener.close()


async def test_a_handshake_that_never_ends_is_a_connect_timeout(http: AgentDefinition) -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    error = await error_of(http, url=f"https://127.0.0.1:{port}/", connect_timeout_ms=150)
    assert (error.code, error.retryable) == ("HTTP_CONNECT_TIMEOUT", True)
    listener.close()


async def test_a_connection_limits_the_rate(http: AgentDefinition, server: Server) -> None:
    connection: dict[str, Any] = {"integration_id": "http_bearer", "parameters": {"token": "T"}}
    quick = connection | {"rate_limit_config": {"requests_per_minute": 600, "burst_size": 2}}
    inputs = {"url": server.url, "timeout_ms": 20_000}
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(http.invoke("request", inputs | {"_connection": quick}) for _ in range(5)))
    assert asyncio.get_running_loop().time() - began >= 0.29
    slow = connection | {"rate_limit_config": {"requests_per_minute": 0.5}}
    await http.invoke("request", inputs | {"_connection": slow})
    error = await error_of(http, **inputs, _connection=slow)
    assert (error.code, error.retryable) == ("HTTP_RATE_LIMITED", True)
    assert 100_000 < (error.retry_after_ms or 0) <= 120_000
    assert len(server.received) == 6


# Proxies


async def test_a_step_may_name_a_proxy(http: AgentDefinition, server: Server) -> None:
    proxy = f"http://user:hunter2@127.0.0.1:{server.port}"
    server.answer("http://shop.test/x", status=500)
    error = await error_of(http, url="http://shop.test/x", proxy=proxy)
    assert error.code == "HTTP_INTERNAL_ERROR"
    assert "hunter2" not in json.dumps(error.to_json())
    [request] = server.received
    assert (request.target, request.header("host")) == ("http://shop.test/x", "shop.test")
    assert request.header("proxy-authorization") == "Basic " + base64.b64encode(b"user:hunter2").decode()


@pytest.mark.parametrize(("status", "retryable"), [(407, False), (403, False), (502, True), (503, True)])
async def test_a_proxy_that_does_not_connect(
    http: AgentDefinition, server: Server, status: int, *, retryable: bool
) -> None:
    server.answer("shop.test:443", status=status)
    error = await error_of(http, url="https://shop.test/x", proxy=server.url)
    assert (error.code, error.retryable) == ("HTTP_PROXY_ERROR", retryable)
    assert server.received[0].method == "CONNECT"


async def test_the_proxy_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError(f"{host} is not known")

    http = AgentDefinition.of(HttpAgent(resolver=nobody))
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.inside.test")
    await http.invoke("request", {"url": "http://shop.test/x"})
    assert server.received[0].target == "http://shop.test/x"
    await http.invoke("request", {"url": f"{server.url}/direct"})
    assert server.received[1].target == "/direct"
    for inputs in ({"url": "http://a.inside.test/"}, {"url": "http://shop.invalid/", "proxy": "none"}):
        error = await error_of(http, **inputs)
        assert error.code == "NETWORK_ERROR"
    assert len(server.received) == 2
    await http.close()


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "http://", "http://a b", "http://h:99999", "ftp://x", "http://h\r\n"]
)
async def test_proxies_that_are_none(http: AgentDefinition, server: Server, proxy: str) -> None:
    error = await error_of(http, url=server.url, proxy=proxy)
    assert (error.code, error.retryable) == ("HTTP_INVALID_PROXY", False)


# Streaming for the other capabilities


async def test_an_exchange_streams_what_it_is_given_and_repeats_it_where_it_must(server: Server) -> None:
    begun: list[int] = []

    def chunks() -> Any:
        async def pieces() -> Any:
            begun.append(1)
            for piece in (b"one", b"two"):
                yield piece

        return pieces()

    async def refuse_first(request: Received, _writer: asyncio.StreamWriter) -> Answer:
        if request.header("authorization") is None:
            return 401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}, b""
        return 200, {}, request.body

    server.handlers["/x"] = refuse_first
    pool = HttpClientPool("test")
    request = HttpRequestInput(
        url=f"{server.url}/x", method="PUT", auth={"type": "digest", "username": "u", "password": "p"}
    )
    context = CapabilityContext()
    async with open_exchange(pool, request, context, content=StreamedContent(chunks, 6, "text/plain")) as response:
        assert b"".join([piece async for piece in response.aiter_raw()]) == b"onetwo"
    assert len(begun) == 2
    assert server.received[1].header("content-length") == "6"
    assert server.received[1].header("content-type") == "text/plain"
    with pytest.raises(AgentError) as caught:
        async with open_exchange(pool, HttpRequestInput(url=server.url, timeout_ms=50), context):
            await asyncio.Event().wait()
    assert caught.value.code == "TIMEOUT"
    await pool.close()
