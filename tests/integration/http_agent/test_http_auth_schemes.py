"""Ways to show who calls: of a step, of a connection, at their origin and nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext

from .conftest import error_of
from .http_server import Answer, Handler, Received, Server
from .test_credentials import connection_of


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "basic", "username": "u", "password": "p"}, "authorization", "Basic dTpw"),
        ({"type": "basic", "username": "u"}, "authorization", "Basic dTo="),
        ({"type": "bearer", "token": "T"}, "authorization", "Bearer T"),
        ({"type": "api_key", "api_key": "K"}, "x-api-key", "K"),
        ({"type": "api_key", "apiKey": "K", "name": "X-Own"}, "x-own", "K"),
        ({"type": "api_key", "api_key": "K", "name": "Authorization", "prefix": "Token"}, "authorization", "Token K"),
    ],
)
async def test_a_step_shows_who_calls(
    http: AgentDefinition, server: Server, auth: dict[str, Any], header: str, value: str
) -> None:
    await http.invoke("request", {"url": server.url, "auth": auth})
    assert server.received[0].header(header) == value


async def test_a_key_in_the_query(http: AgentDefinition, server: Server) -> None:
    await http.invoke(
        "request", {"url": f"{server.url}/x?a=1#f", "auth": {"type": "api_key", "api_key": "K &", "location": "query"}}
    )
    connection = connection_of("http_api_key", api_key="K", location="query", parameter_name="key", base_url=server.url)
    await http.invoke("request", {"url": "/y", "query_parameters": {"a": "1"}, "_connection": connection})
    await http.invoke("request", {"url": "/z", "query_parameters": {"key": "own"}, "_connection": connection})
    assert [request.target for request in server.received] == ["/x?a=1&api_key=K%20%26", "/y?a=1&key=K", "/z?key=own"]
    assert all(request.header("x-api-key") is None for request in server.received)


async def test_a_key_in_the_query_stays_at_its_origin(
    http: AgentDefinition, server: Server, other_server: Server
) -> None:
    connection = connection_of("http_api_key", api_key="hunter2", location="query", base_url=server.url)
    # The server repeats the key in its redirect, too.
    server.answer("/away", status=302, Location=f"{other_server.url}/landed?api_key=hunter2&b=2")
    other_server.answer("/landed", status=307, Location=f"{server.url}/back")
    result = await http.invoke("request", {"url": "/away", "_connection": connection})
    assert [request.target for request in other_server.received] == ["/landed?b=2"]
    assert server.received[-1].target == "/back?api_key=hunter2"
    assert "hunter2" not in json.dumps(result)
    await http.invoke("request", {"url": f"{other_server.url}/absolute", "_connection": connection})
    assert other_server.received[-1].target == "/absolute"


async def test_auth_of_a_step_takes_what_it_leaves_out_from_the_connection(
    http: AgentDefinition, server: Server, other_server: Server
) -> None:
    connection = connection_of("http_bearer", token="T", base_url=server.url)
    for url in (server.url, other_server.url):
        for auth in ("none", "bearer", {"type": "api_key", "api_key": "own"}):
            await http.invoke("request", {"url": url, "auth": auth, "_connection": connection})
    shown = [(request.header("authorization"), request.header("x-api-key")) for request in server.received]
    assert shown == [(None, None), ("Bearer T", None), (None, "own")]
    shown = [(request.header("authorization"), request.header("x-api-key")) for request in other_server.received]
    # What the step itself gives goes where the step itself says; what the connection lends stays at home.
    assert shown == [(None, None), (None, None), (None, "own")]


async def test_auth_that_lacks_something_is_refused(http: AgentDefinition, server: Server) -> None:
    for auth, named in (({"type": "basic"}, "username"), ({"type": "bearer"}, "token"), ("api_key", "api_key")):
        error = await error_of(http, url=server.url, auth=auth)
        assert (error.code, error.retryable) == ("HTTP_INVALID_AUTH", False)
        assert named in error.message
    assert server.received == []


async def test_a_header_of_the_step_wins_over_every_scheme(http: AgentDefinition, server: Server) -> None:
    for auth in ({"type": "basic", "username": "u"}, {"type": "digest", "username": "u"}):
        await http.invoke("request", {"url": server.url, "headers": {"authorization": "own"}, "auth": auth})
    host = f"u:p@127.0.0.1:{server.port}"
    await http.invoke("request", {"url": f"http://{host}/", "auth": {"type": "bearer", "token": "T"}})
    await http.invoke("request", {"url": f"http://{host}/"})
    shown = [request.header("authorization") for request in server.received]
    assert shown == ["own", "own", "Bearer T", "Basic dTpw"]


async def test_credentials_cannot_bring_further_headers(http: AgentDefinition, server: Server) -> None:
    for auth in (
        {"type": "bearer", "token": "hunter2\r\nX-Injected: 1"},
        {"type": "api_key", "api_key": "hunter2\nX-Injected: 1"},
        {"type": "api_key", "api_key": "hunter2", "name": "X-A: 1\r\nX-Injected"},
        {"type": "digest", "username": "hunter2\r\nX-Injected: 1"},
    ):
        error = await _challenged_error(http, server, auth)
        assert error.code == "HTTP_INVALID_HEADER"
        assert "hunter2" not in error.message
    assert not any(request.header("x-injected") for request in server.received)


async def _challenged_error(http: AgentDefinition, server: Server, auth: dict[str, Any]) -> AgentError:
    server.answer("/", status=401, WWW_Authenticate='Digest realm="r", nonce="n"')
    return await error_of(http, url=server.url, auth=auth)


@pytest.mark.parametrize("as_text", [True, False])
async def test_custom_headers_and_parameters(
    http: AgentDefinition, server: Server, other_server: Server, *, as_text: bool
) -> None:
    headers, query = {"X-Account": "7", "X-Signature": "hunter2"}, {"sig": "hunter3"}
    connection = connection_of(
        "http_custom",
        headers=json.dumps(headers) if as_text else headers,
        query_parameters=json.dumps(query) if as_text else query,
        base_url=server.url,
    )
    server.answer("/x", status=500, body={"echo": "hunter2 hunter3"})
    error = await error_of(http, url="/x", _connection=connection)
    assert "hunter" not in json.dumps(error.to_json())
    [request] = server.received
    assert (request.header("x-account"), request.header("x-signature")) == ("7", "hunter2")
    assert request.target == "/x?sig=hunter3"
    await http.invoke("request", {"url": other_server.url, "_connection": connection})
    assert (other_server.received[0].header("x-signature"), other_server.received[0].target) == (None, "/")


async def test_a_custom_connection_that_is_no_json_is_refused(http: AgentDefinition, server: Server) -> None:
    for headers in ("hunter2", "[1]", '{"a": 1}', '{"a": {"b": "hunter2"}}'):
        error = await error_of(http, url=server.url, _connection=connection_of("http_custom", headers=headers))
        assert (error.code, error.retryable) == ("CAPABILITY_ERROR", False)
        assert "headers" in error.message
        assert "hunter2" not in error.message


async def test_what_is_sent_of_a_password_shows_nowhere(http: AgentDefinition, server: Server) -> None:
    async def echo(request: Received, _writer: asyncio.StreamWriter) -> Answer:
        return 200, {"X-Echo": request.header("authorization") or ""}, json.dumps(request.headers).encode()

    server.handlers["/"] = echo
    connection = connection_of("http_basic", username="user", password="hunter2")
    result = json.dumps(await http.invoke("request", {"url": server.url, "_connection": connection}))
    assert "dXNlcjpodW50ZXIy" not in result
    assert "[redacted]" in result.lower() or "***" in result


# Digest


def digest_protected(
    *, algorithm: str | None = "SHA-256", qop: str | None = "auth", stale_after: int = 1_000_000
) -> Handler:
    """A resource of the user u with the password p, by RFC 7616."""
    hashes = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256, "SHA-512": hashlib.sha512}
    hash_of = hashes[(algorithm or "MD5").removesuffix("-sess")]
    served = {"count": 0, "nonce": 0}

    def digest(*parts: str) -> str:
        return hash_of(":".join(parts).encode()).hexdigest()

    async def handler(request: Received, _writer: asyncio.StreamWriter) -> Answer:
        nonce = f"nonce-{served['nonce']}"
        given = request.header("authorization") or ""
        fields = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,]*)', given)}
        if given.startswith("Digest ") and fields["nonce"] == nonce and fields["uri"] == request.target:
            first = digest("u", "the realm", "p")
            if algorithm is not None and algorithm.endswith("-sess"):
                first = digest(first, nonce, fields["cnonce"])
            second = digest(request.method, request.target)
            middle = [nonce, fields["nc"], fields["cnonce"], "auth"] if qop else [nonce]
            if fields["response"] == digest(first, *middle, second):
                served["count"] += 1
                if served["count"] % stale_after == 0:
                    served["nonce"] += 1
                return 200, {}, request.body or b"inside"
        challenge = f'Digest realm="the realm", nonce="{nonce}", opaque="o"'
        challenge += f', qop="{qop}"' if qop else ""
        challenge += f", algorithm={algorithm}" if algorithm else ""
        return 401, {"WWW-Authenticate": challenge}, b"refused"

    return handler


@pytest.mark.parametrize("algorithm", [None, "MD5", "SHA-256", "SHA-512", "MD5-sess", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ["auth", "auth,auth-int", None])
async def test_digest_challenges_are_answered(
    http: AgentDefinition, server: Server, algorithm: str | None, qop: str | None
) -> None:
    if qop is None and algorithm is not None and algorithm.endswith("-sess"):
        return  # RFC 7616: such an algorithm needs the client's nonce, which comes with a quality of protection
    server.handlers["/x"] = digest_protected(algorithm=algorithm, qop=qop)
    connection = connection_of("http_basic", username="u", password="p", scheme="digest", base_url=server.url)
    result = await http.invoke("request", {"url": "/x?a=b%20c", "body": {"a": 1}, "_connection": connection})
    assert result["body"] == {"a": 1}
    assert [request.body for request in server.received] == [b'{"a":1}', b'{"a":1}']
    assert server.connections == 1


async def test_digest_of_a_step_and_a_wrong_password(http: AgentDefinition, server: Server) -> None:
    server.handlers["/"] = digest_protected()
    auth = {"type": "digest", "username": "u", "password": "p"}
    assert (await http.invoke("request", {"url": server.url, "auth": auth}))["body"] == "inside"
    error = await error_of(http, url=server.url, auth={**auth, "password": "hunter2"})
    assert (error.code, error.retryable) == ("HTTP_UNAUTHORIZED", False)
    assert len(server.received) == 4


async def test_digest_goes_along_with_redirects_at_its_origin(
    http: AgentDefinition, server: Server, other_server: Server
) -> None:
    protected = digest_protected()

    async def first(request: Received, writer: asyncio.StreamWriter) -> Answer | None:
        answer = await protected(request, writer)
        return (307, {"Location": "/second"}, b"") if answer is not None and answer[0] == 200 else answer

    server.handlers = {"/first": first, "/second": protected}
    auth = {"type": "digest", "username": "u", "password": "p"}
    assert (await http.invoke("request", {"url": f"{server.url}/first", "auth": auth}))["body"] == "inside"
    # The second resource was answered at once, with the challenge of the first.
    assert [request.target for request in server.received] == ["/first", "/first", "/second"]
    server.answer("/away", status=307, Location=f"{other_server.url}/")
    other_server.answer("/", status=401, WWW_Authenticate='Digest realm="r", nonce="n", qop="auth"')
    error = await error_of(http, url=f"{server.url}/away", auth=auth)
    assert error.code == "HTTP_UNAUTHORIZED"
    assert [request.header("authorization") for request in other_server.received] == [None]


@pytest.mark.parametrize(
    "challenge",
    [
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=WHIRLPOOL',
        'Digest realm="r", nonce="n", qop="auth-int"',
        "Digest nonsense",
    ],
)
async def test_challenges_that_cannot_be_answered(http: AgentDefinition, server: Server, challenge: str) -> None:
    server.answer("/", status=401, WWW_Authenticate=challenge)
    error = await error_of(http, url=server.url, auth={"type": "digest", "username": "u", "password": "p"})
    assert (error.code, error.retryable) == ("HTTP_DIGEST_UNSUPPORTED", False)


async def test_names_beyond_ascii_in_a_digest(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=401, WWW_Authenticate='Digest realm="r", nonce="n", charset=UTF-8')
    for name in ("Jürgen", "\u4e2d"):
        auth = {"type": "digest", "username": name, "password": "p"}
        error = await error_of(http, url=server.url, headers={"X-Name": "Käse"}, auth=auth)
        assert error.code == "HTTP_UNAUTHORIZED"
        assert f'username="{name}"'.encode() in (server.received[-1].header("authorization") or "").encode("latin-1")
        assert server.received[-1].header("x-name") == "Käse"
    error = await error_of(http, url=server.url, auth={"type": "digest", "username": 'a", b="'})
    assert error.code == "HTTP_INVALID_AUTH"


async def test_without_a_challenge_there_is_no_second_try(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=401, WWW_Authenticate='Basic realm="r"')
    error = await error_of(http, url=server.url, auth={"type": "digest", "username": "u", "password": "p"})
    assert error.code == "HTTP_UNAUTHORIZED"
    assert len(server.received) == 1


async def test_the_idempotency_key_of_a_step_takes_the_place_of_any_other(
    http: AgentDefinition, server: Server
) -> None:
    context = CapabilityContext(idempotency_key="of-the-run-time")
    inputs = {"url": server.url, "headers": {"idempotency-key": "of-the-header"}, "body": 1}
    await http.invoke("request", {**inputs, "idempotencyKey": "of-the-step"}, context)
    await http.invoke("request", inputs, context)
    await http.invoke("request", {"url": server.url, "body": 1}, context)
    await http.invoke("request", {"url": server.url, "idempotency_key": "of-a-get"}, context)
    await http.invoke("request", {"url": server.url}, context)
    shown = [request.header("idempotency-key") for request in server.received]
    assert shown == ["of-the-step", "of-the-header", "of-the-run-time", "of-a-get", None]
