"""OAuth 2.0 client credentials: tokens are fetched once, kept, fetched anew, and never shown."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition

from .conftest import error_of
from .http_server import Answer, Received, Server
from .test_credentials import connection_of

SECRET = "hunter2 +/%&"


@dataclass
class TokenEndpoint:
    """An authorization server for one client; its tokens are numbered, and end when the test says so."""

    expires_in: Any = 3600
    valid: set[str] = field(default_factory=set)
    forms: list[dict[str, str]] = field(default_factory=list)
    issued: int = 0
    answer: Answer | None = None
    gate: asyncio.Event | None = None

    async def __call__(self, request: Received, _writer: asyncio.StreamWriter) -> Answer:
        form = dict(urllib.parse.parse_qsl(request.body.decode()))
        self.forms.append(form)
        if self.gate is not None:
            await self.gate.wait()
        if self.answer is not None:
            return self.answer
        client, secret = form.get("client_id"), form.get("client_secret")
        if (header := request.header("authorization")) is not None:
            decoded = base64.b64decode(header.removeprefix("Basic ")).decode()
            client, secret = (urllib.parse.unquote_plus(part) for part in decoded.split(":"))
        if (client, secret) != ("client", SECRET):
            return 401, {}, json.dumps({"error": "invalid_client", "error_description": f"not {secret}"}).encode()
        self.issued += 1
        token = f"token-{self.issued}"
        self.valid.add(token)
        document = {"access_token": token, "token_type": "Bearer", "scope": "granted by the server"}
        if self.expires_in is not None:
            document["expires_in"] = self.expires_in
        return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()

    async def resource(self, request: Received, _writer: asyncio.StreamWriter) -> Answer:
        """What needs a token."""
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        return (200, {}, token.encode()) if token in self.valid else (401, {}, f"not {token}".encode())


@pytest.fixture
def endpoint(server: Server, other_server: Server) -> TokenEndpoint:
    made = TokenEndpoint()
    other_server.handlers["/token"] = made
    server.handlers["/x"] = made.resource
    return made


def connection(server: Server, other_server: Server, **parameters: Any) -> dict[str, Any]:
    known = {
        "token_url": f"{other_server.url}/token",
        "client_id": "client",
        "client_secret": SECRET,
        "base_url": server.url,
    }
    return connection_of("http_oauth2_client_credentials", **known | parameters)


@pytest.mark.parametrize("way", ["basic", "body"])
async def test_a_token_is_fetched_and_kept(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint, way: str
) -> None:
    stored = connection(server, other_server, client_authentication=way, scope="a b", audience="api")
    for _ in range(3):
        assert (await http.invoke("request", {"url": "/x", "_connection": stored}))["success"]
    assert endpoint.issued == 1
    [form] = endpoint.forms
    assert (form["grant_type"], form["scope"], form["audience"]) == ("client_credentials", "a b", "api")
    assert ("client_secret" in form) == (way == "body")
    assert [request.header("authorization") for request in server.received] == ["Bearer token-1"] * 3


async def test_the_token_is_a_secret_of_the_call(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    inputs = {"url": "/x", "_connection": connection(server, other_server)}
    assert "token-1" not in json.dumps(await http.invoke("request", inputs))
    server.answer("/x", status=500, body={"echo": "token-1"})
    assert "token-1" not in json.dumps((await error_of(http, **inputs)).to_json())


async def test_calls_at_the_same_time_fetch_one_token(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    endpoint.gate = asyncio.Event()
    inputs = {"url": "/x", "_connection": connection(server, other_server)}
    calls = [asyncio.ensure_future(http.invoke("request", inputs)) for _ in range(10)]
    while not endpoint.forms:
        await asyncio.sleep(0.001)
    # The one that began the fetch is given up; the others still get their token.
    calls[0].cancel()
    await asyncio.gather(calls[0], return_exceptions=True)
    endpoint.gate.set()
    results = await asyncio.gather(*calls[1:])
    assert all(result["success"] for result in results)
    assert endpoint.issued == 1


async def test_a_refused_token_is_fetched_anew_once(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    inputs = {"url": "/x", "body": {"a": 1}, "_connection": connection(server, other_server)}
    assert (await http.invoke("request", inputs))["success"]
    endpoint.valid.clear()  # the server has forgotten its tokens
    results = await asyncio.gather(*(http.invoke("request", inputs) for _ in range(5)))
    assert all(result["success"] for result in results)
    assert endpoint.issued == 2
    assert {request.body for request in server.received} == {b'{"a":1}'}
    server.answer("/x", status=401)
    error = await error_of(http, **inputs)
    assert (error.code, error.retryable) == ("HTTP_UNAUTHORIZED", False)
    assert endpoint.issued == 3


@pytest.mark.parametrize("expires_in", [0, -5, "0"])
async def test_a_token_without_a_future_serves_one_call(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint, expires_in: Any
) -> None:
    endpoint.expires_in = expires_in
    for _ in range(2):
        await http.invoke("request", {"url": "/x", "_connection": connection(server, other_server)})
    assert endpoint.issued == 2


async def test_a_token_is_fetched_anew_before_it_ends(
    http: AgentDefinition,
    server: Server,
    other_server: Server,
    endpoint: TokenEndpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from runtara_agents_http import oauth2

    now = [1_000.0]
    monkeypatch.setattr(oauth2, "monotonic", lambda: now[0])
    inputs = {"url": "/x", "_connection": connection(server, other_server)}
    for moment, issued in ((0, 1), (3_539, 1), (3_541, 2), (3_541 + 3_539, 2), (3_541 + 3_541, 3)):
        now[0] = 1_000.0 + moment
        await http.invoke("request", inputs)
        assert endpoint.issued == issued, moment
    endpoint.expires_in = None
    endpoint.valid.clear()
    await http.invoke("request", inputs)
    now[0] += 541
    await http.invoke("request", inputs)
    assert endpoint.issued == 5


async def test_other_clients_and_scopes_have_other_tokens(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    for parameters in ({}, {"scope": "a"}, {"scope": "b"}, {"audience": "c"}, {}):
        stored = connection(server, other_server, **parameters)
        await http.invoke("request", {"url": "/x", "_connection": stored})
    assert endpoint.issued == 4
    error = await error_of(http, url="/x", _connection=connection(server, other_server, client_secret="hunter3"))
    assert error.code == "HTTP_OAUTH_INVALID_CREDENTIALS"


async def test_a_client_that_is_not_accepted(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    for way in ("basic", "body"):
        stored = connection(server, other_server, client_secret="hunter3", client_authentication=way)
        error = await error_of(http, url="/x", _connection=stored)
        assert (error.code, error.retryable) == ("HTTP_OAUTH_INVALID_CREDENTIALS", False)
        assert error.attributes["token_url"] == f"{other_server.url}/token"
        assert "hunter3" not in json.dumps(error.to_json())
    assert server.received == []


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        ((400, {}, b'{"error": "invalid_scope", "error_description": "no"}'), "HTTP_OAUTH_REFUSED", False),
        ((400, {}, b'{"error": "unauthorized_client"}'), "HTTP_OAUTH_INVALID_CREDENTIALS", False),
        ((400, {}, b'{"error": "something_new"}'), "HTTP_OAUTH_REFUSED", False),
        ((400, {}, b'{"error": "temporarily_unavailable"}'), "HTTP_OAUTH_UNAVAILABLE", True),
        ((401, {}, b"<html>"), "HTTP_OAUTH_INVALID_CREDENTIALS", False),
        ((503, {"Retry-After": "7"}, b""), "HTTP_OAUTH_UNAVAILABLE", True),
        ((429, {"Retry-After": "7"}, b"{}"), "HTTP_OAUTH_UNAVAILABLE", True),
        ((302, {"Location": "/elsewhere"}, b""), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b"<html>"), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b"[]"), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b'"text"'), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b"{}"), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b'{"access_token": 7}'), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b'{"access_token": "a\\r\\nX: b"}'), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b'{"access_token": "t", "token_type": "mac"}'), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b'{"access_token": "t", "expires_in": "soon"}'), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b"[" * 100_000), "HTTP_OAUTH_INVALID_RESPONSE", False),
        ((200, {}, b" " * 2_000_000), "HTTP_OAUTH_INVALID_RESPONSE", False),
    ],
)
async def test_answers_without_a_token(
    http: AgentDefinition,
    server: Server,
    other_server: Server,
    endpoint: TokenEndpoint,
    answer: Answer,
    code: str,
    *,
    retryable: bool,
) -> None:
    endpoint.answer = answer
    error = await error_of(http, url="/x", _connection=connection(server, other_server))
    assert (error.code, error.retryable) == (code, retryable)
    assert error.retry_after_ms == (7_000 if "Retry-After" in answer[1] else None)
    assert "hunter2" not in json.dumps(error.to_json())
    assert server.received == []
    endpoint.answer = None
    assert (await http.invoke("request", {"url": "/x", "_connection": connection(server, other_server)}))["success"]


async def test_an_authorization_server_that_is_away(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    stored = connection(server, other_server, token_url=f"http://127.0.0.1:{port}/token")
    error = await error_of(http, url="/x", _connection=stored)
    assert (error.code, error.retryable) == ("HTTP_OAUTH_UNAVAILABLE", True)
    for wrong in ("/token", "ftp://example.com/", "https://"):
        error = await error_of(http, url="/x", _connection=connection(server, other_server, token_url=wrong))
        assert error.code == "HTTP_INVALID_URL"


async def test_a_token_goes_to_the_origin_of_the_connection_only(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    stored = connection(server, other_server)
    server.answer("/away", status=307, Location=f"{other_server.url}/landed")
    await http.invoke("request", {"url": "/away", "_connection": stored})
    await http.invoke("request", {"url": f"{other_server.url}/absolute", "_connection": stored})
    landed = [request for request in other_server.received if request.target != "/token"]
    assert [request.header("authorization") for request in landed] == [None, None]
    assert server.received[0].header("authorization") == "Bearer token-1"


async def test_a_call_that_is_given_up_ends_before_a_slow_token(
    http: AgentDefinition, server: Server, other_server: Server, endpoint: TokenEndpoint
) -> None:
    endpoint.gate = asyncio.Event()
    error = await error_of(http, url="/x", timeout_ms=100, _connection=connection(server, other_server))
    assert (error.code, error.retryable) == ("TIMEOUT", True)
