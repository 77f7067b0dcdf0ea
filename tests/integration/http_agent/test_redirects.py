"""What a redirect carries, and what stays behind."""

from __future__ import annotations

from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition, CapabilityContext

from .conftest import error_of
from .http_server import Server

SECRETS = {
    "Authorization": "Bearer T",
    "X-Api-Key": "K",
    "Cookie": "session=1",
    "X-Request-Id": "r-1",
    "Accept": "application/json",
    "Accept-Language": "de",
    "User-Agent": "mine",
}
HARMLESS = {"accept": "application/json", "accept-language": "de", "user-agent": "mine"}
TRANSPORT = {"host", "accept-encoding", "connection", "content-length"}


def carried(server: Server) -> dict[str, str]:
    """The headers of the last request, without those of every request."""
    headers = {name.lower(): value for name, value in server.received[-1].headers}
    return {name: value for name, value in headers.items() if name not in TRANSPORT}


async def post(http: AgentDefinition, server: Server, path: str, **inputs: Any) -> None:
    context = CapabilityContext(idempotency_key="once")
    await http.invoke("request", {"url": server.url + path, "headers": SECRETS, "body": {"a": 1}, **inputs}, context)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_another_origin_gets_no_secret(
    http: AgentDefinition, server: Server, other_server: Server, status: int
) -> None:
    server.answer("/", status=status, Location=f"{other_server.url}/")
    await post(http, server, "/")
    keeps_body = status in (307, 308)
    assert carried(other_server) == HARMLESS | ({"content-type": "application/json"} if keeps_body else {})
    assert other_server.received[-1].method == ("POST" if keeps_body else "GET")
    assert other_server.received[-1].body == (b'{"a":1}' if keeps_body else b"")


async def test_named_headers_and_trusted_origins(http: AgentDefinition, server: Server, other_server: Server) -> None:
    server.answer("/", status=307, Location=f"{other_server.url}/")
    await post(http, server, "/", trustedRedirectHeaders=["x-request-id"])
    assert carried(other_server) == HARMLESS | {"content-type": "application/json", "x-request-id": "r-1"}
    await post(http, server, "/", trustedRedirectOrigins=[other_server.url])
    expected = {name.lower(): value for name, value in SECRETS.items()}
    assert carried(other_server) == expected | {"content-type": "application/json", "idempotency-key": "once"}


async def test_an_origin_that_is_none_is_refused(http: AgentDefinition, server: Server) -> None:
    error = await error_of(http, url=server.url, trusted_redirect_origins=["example.com"])
    assert error.code == "HTTP_INVALID_URL"
    assert server.received == []


async def test_the_same_origin_gets_everything(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=308, Location="/end")
    await post(http, server, "/")
    expected = {name.lower(): value for name, value in SECRETS.items()}
    assert carried(server) == expected | {"content-type": "application/json", "idempotency-key": "once"}


async def test_a_post_that_becomes_a_get_leaves_body_and_key_behind(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=303, Location="/middle")
    server.answer("/middle", status=307, Location="/end")
    await post(http, server, "/")
    assert [request.method for request in server.received] == ["POST", "GET", "GET"]
    assert carried(server) == {name.lower(): value for name, value in SECRETS.items()}


async def test_a_delete_keeps_its_key(http: AgentDefinition, server: Server) -> None:
    server.answer("/", status=307, Location="/end")
    await http.invoke("request", {"url": server.url, "method": "DELETE"}, CapabilityContext(idempotency_key="once"))
    assert [request.header("idempotency-key") for request in server.received] == ["once", "once"]


async def test_what_went_abroad_comes_home_complete(
    http: AgentDefinition, server: Server, other_server: Server
) -> None:
    server.answer("/", status=307, Location=f"{other_server.url}/")
    other_server.answer("/", status=307, Location=f"{server.url}/home")
    await post(http, server, "/")
    assert carried(server)["authorization"] == "Bearer T"
