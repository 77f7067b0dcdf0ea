"""Credentials of a connection go to its own origin, and show nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from runtara_sdk.agents import AgentDefinition

from .conftest import error_of
from .http_server import Server


def connection_of(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"integration_id": kind, "parameters": parameters, "connection_subtype": None}


@pytest.mark.parametrize(
    ("connection", "header", "value"),
    [
        (connection_of("http_bearer", token="T"), "authorization", "Bearer T"),
        (connection_of("bearer", token="T"), "authorization", "Bearer T"),
        (connection_of("http_api_key", api_key="K"), "x-api-key", "K"),
        (connection_of("api_key", api_key="K", header_name="X-Own"), "x-own", "K"),
        (connection_of("http_basic", username="u", password="p"), "authorization", "Basic dTpw"),
        (connection_of("basic_auth", username="u", password="p"), "authorization", "Basic dTpw"),
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
    connection = connection_of("http_bearer", token="T")
    await http.invoke("request", {"url": server.url, "headers": {"authorization": "own"}, "_connection": connection})
    assert server.received[0].header("authorization") == "own"


async def test_credentials_stay_at_their_origin(http: AgentDefinition, server: Server, other_server: Server) -> None:
    connection = connection_of("http_api_key", api_key="K", base_url=server.url)
    server.answer("/away", status=302, Location=f"{other_server.url}/landed")
    other_server.answer("/landed", status=302, Location=f"{server.url}/back")
    await http.invoke("request", {"url": f"{other_server.url}/absolute", "_connection": connection})
    await http.invoke("request", {"url": "/away", "_connection": connection})
    assert [request.header("x-api-key") for request in other_server.received] == [None, None]
    assert [request.header("x-api-key") for request in server.received] == ["K", "K"]


async def test_a_relative_url_cannot_move_to_another_host(http: AgentDefinition, server: Server) -> None:
    connection = connection_of("http_bearer", token="T", base_url="http://127.0.0.1")
    for url in (f":{server.port}/x", "@localhost/", ".evil.test/"):
        error = await error_of(http, url=url, _connection=connection)
        assert error.code == "HTTP_INVALID_URL"
    assert server.received == []


@pytest.mark.parametrize(
    "connection",
    [
        connection_of("sftp", host="x"),
        connection_of("http_bearer"),
        connection_of("http_bearer", token=None),
        connection_of("http_bearer", token=7),
    ],
)
async def test_unusable_connections_are_permanent_errors(
    http: AgentDefinition, server: Server, connection: dict[str, Any]
) -> None:
    error = await error_of(http, url=server.url, _connection=connection)
    assert (error.code, error.retryable) == ("CAPABILITY_ERROR", False)


async def test_secrets_are_not_shown(http: AgentDefinition, server: Server) -> None:
    connection = connection_of("http_bearer", token="hunter2\r\nX: y")
    error = await error_of(http, url=server.url, _connection=connection)
    assert error.code == "HTTP_INVALID_HEADER"
    assert "hunter2" not in json.dumps(error.to_json())
    server.answer("/", status=500)
    error = await error_of(http, url=f"http://user:hunter2@127.0.0.1:{server.port}/")
    assert "hunter2" not in json.dumps(error.to_json())
