"""The address guard on the network: what is connected to is what was judged, whatever names and redirects say."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtara_agents_http import HttpAgent
from runtara_agents_http.address_guard import (
    ALLOWED_NETWORKS_VARIABLE,
    PRIVATE_NETWORKS_VARIABLE,
    AddressGuard,
)
from runtara_agents_http.network import Resolver
from runtara_sdk.agents import AgentDefinition, AgentError

from .certificates import Authority
from .conftest import error_of
from .http_server import Server, started_server

LOOPBACK = ipaddress.ip_network("127.0.0.1/32")
STRICT = AddressGuard(refuses_private=True)
"""Refuses what is private, and so every server of these tests but those that are listed."""


class Names:
    """A resolver for names that no DNS knows; each look-up of a name may give other addresses."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self._answers.get(host.rstrip("."))
        if not answers:
            raise OSError(f"{host} is not known")
        return answers.pop(0) if len(answers) > 1 else answers[0]


def agent_of(guard: AddressGuard, resolver: Resolver | None = None) -> AgentDefinition:
    return AgentDefinition.of(HttpAgent(guard=guard, resolver=resolver))


@pytest.fixture
async def strict() -> AsyncIterator[AgentDefinition]:
    agent = agent_of(STRICT)
    yield agent
    await agent.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "\u2460\u2461\u2466.0.0.1",  # circled digits, which IDNA maps to 127.0.0.1
    ],
)
async def test_loopback_is_refused_in_every_form(strict: AgentDefinition, server: Server, host: str) -> None:
    error = await error_of(strict, url=f"http://{host}:{server.port}/x")
    assert (error.code, error.retryable) in {("HTTP_ADDRESS_REFUSED", False), ("HTTP_INVALID_URL", False)}
    if error.code == "HTTP_ADDRESS_REFUSED":
        assert error.attributes["url"] == f"http://{host}:{server.port}/x"
        assert ipaddress.ip_address(error.attributes["address"])
        assert ALLOWED_NETWORKS_VARIABLE in error.message
    assert server.connections == 0


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0.0.0.0"]
)
async def test_metadata_and_link_local_addresses_are_refused_even_where_private_ones_are_allowed(
    http: AgentDefinition, host: str
) -> None:
    error = await error_of(http, url=f"http://{host}/latest/meta-data/", timeout_ms=5_000)
    assert (error.code, error.retryable) == ("HTTP_ADDRESS_REFUSED", False)
    assert "no setting allows it" in error.message


async def test_what_the_operator_lists_is_allowed(server: Server) -> None:
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)))
    assert (await agent.invoke("request", {"url": server.url}))["success"]
    error = await error_of(agent, url=f"http://127.0.0.2:{server.port}/")
    assert error.attributes["address"] == "127.0.0.2"
    await agent.close()


async def test_the_environment_decides(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def code() -> str | None:
        agent = AgentDefinition.of(HttpAgent())
        try:
            result = await agent.invoke("request", {"url": server.url})
            return None if result["success"] else "?"
        except AgentError as error:
            return error.code
        finally:
            await agent.close()

    assert await code() is None
    monkeypatch.setenv(PRIVATE_NETWORKS_VARIABLE, "refused")
    assert await code() == "HTTP_ADDRESS_REFUSED"
    monkeypatch.setenv(ALLOWED_NETWORKS_VARIABLE, "127.0.0.0/8")
    assert await code() is None
    monkeypatch.setenv(ALLOWED_NETWORKS_VARIABLE, "loopback")
    assert await code() == "CONFIGURATION_ERROR"


async def test_names_that_lead_inward_are_refused(server: Server) -> None:
    names = Names(inward_test=[["10.0.0.1"]], mixed_test=[["10.0.0.1", "127.0.0.1", "::1"]])
    agent = agent_of(STRICT, names)
    for host in ("inward.test", "mixed.test", "inward.test."):
        error = await error_of(agent, url=f"http://{host}:{server.port}/")
        assert (error.code, error.attributes["address"]) == ("HTTP_ADDRESS_REFUSED", "10.0.0.1")
    assert server.connections == 0
    await agent.close()


async def test_only_addresses_that_passed_are_connected_to(server: Server) -> None:
    # The first address of the name is refused, the second one allowed.
    names = Names(service_test=[["10.0.0.1", "127.0.0.1"]])
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)), names)
    result = await agent.invoke("request", {"url": f"http://service.test:{server.port}/"})
    assert result["success"]
    assert server.received[0].header("host") == f"service.test:{server.port}"
    await agent.close()


async def test_a_name_that_changes_between_look_up_and_connection_leads_nowhere_else(server: Server) -> None:
    # The second look-up would lead inward; there is none for one connection.
    names = Names(changing_test=[["127.0.0.1"], ["127.0.0.2"]])
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)), names)
    assert (await agent.invoke("request", {"url": f"http://changing.test:{server.port}/"}))["success"]
    assert names.asked == ["changing.test"]
    await agent.close()
    # A new connection asks again, and what it is told is judged again.
    error = await error_of(agent, url=f"http://changing.test:{server.port}/")
    assert (error.code, error.attributes["address"]) == ("HTTP_ADDRESS_REFUSED", "127.0.0.2")
    await agent.close()


async def test_redirects_that_lead_inward_are_refused(server: Server, other_server: Server) -> None:
    names = Names(public_test=[["127.0.0.1"]], inward_test=[["127.0.0.2"]])
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)), names)
    for location in (
        f"http://127.0.0.2:{other_server.port}/",
        f"http://inward.test:{other_server.port}/",
        f"http://[::1]:{other_server.port}/",
        "http://169.254.169.254/latest/meta-data/",
    ):
        server.answer("/", status=302, Location=location)
        error = await error_of(agent, url=f"http://public.test:{server.port}/")
        assert error.code == "HTTP_ADDRESS_REFUSED", location
        assert error.attributes["url"] == f"http://public.test:{server.port}/"
    assert other_server.connections == 0
    await agent.close()


async def test_the_second_address_is_tried_while_the_first_is_silent(server: Server) -> None:
    # Nobody listens at the first address, so that the connection is refused at once.
    names = Names(service_test=[["127.0.0.3", "127.0.0.1"]])
    agent = agent_of(AddressGuard(), names)
    assert (await agent.invoke("request", {"url": f"http://service.test:{server.port}/"}))["success"]
    error = await error_of(agent, url="http://unknown.test/")
    assert (error.code, error.retryable) == ("NETWORK_ERROR", True)
    await agent.close()


async def test_a_silent_address_does_not_hold_up_the_next_one(server: Server) -> None:
    with contextlib.ExitStack() as open_sockets:
        silent = open_sockets.enter_context(socket.socket())
        silent.bind(("127.0.0.4", server.port))
        silent.listen(0)
        for _ in range(4):  # from here on its queue is full, and the kernel answers nobody
            waiting = open_sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.4", server.port))
        agent = agent_of(AddressGuard(), Names(service_test=[["127.0.0.4", "127.0.0.1"]]))
        url = f"http://service.test:{server.port}/"
        assert (await agent.invoke("request", {"url": url, "timeout_ms": 20_000}))["success"]
        await agent.close()
        error = await error_of(agent, url=f"http://127.0.0.4:{server.port}/", connect_timeout_ms=100)
        assert (error.code, error.retryable) == ("HTTP_CONNECT_TIMEOUT", True)
        await agent.close()


async def test_both_versions_of_the_protocol_are_reached() -> None:
    server = Server()
    try:
        listener = await asyncio.start_server(server.serve, "::1", 0)
    except OSError as error:
        pytest.skip(f"no IPv6 on loopback: {error}")
    port = listener.sockets[0].getsockname()[1]
    names = Names(service_test=[["127.0.0.3", "::1"]])
    agent = agent_of(AddressGuard(), names)
    for host in ("[::1]", "service.test"):
        assert (await agent.invoke("request", {"url": f"http://{host}:{port}/"}))["success"]
    await agent.close()
    listener.close()


async def test_tls_is_verified_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    authority = Authority()
    names = Names(localhost=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    seen: list[str | None] = []
    context = authority.server_context(tmp_path)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    async for server in started_server(context):
        agent = agent_of(AddressGuard(), names)
        inputs = {"ca_bundle": authority.certificate}
        assert (await agent.invoke("request", {"url": f"https://localhost:{server.port}/", **inputs}))["success"]
        error = await error_of(agent, url=f"https://other.test:{server.port}/", **inputs)
        assert error.code == "HTTP_TLS_ERROR"
        assert seen == ["localhost", "other.test"]
        await agent.close()


async def test_a_proxy_is_judged_where_it_is_and_its_target_where_that_is_an_address(server: Server) -> None:
    names = Names(proxy_test=[["127.0.0.1"]])
    proxy = f"http://proxy.test:{server.port}"
    agent = agent_of(STRICT, names)
    error = await error_of(agent, url="http://example.com/", proxy=proxy)
    assert (error.code, error.attributes["address"]) == ("HTTP_ADDRESS_REFUSED", "127.0.0.1")
    await agent.close()
    assert server.connections == 0
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)), names)
    for target in ("http://169.254.169.254/", "https://10.0.0.1/", "http://0x0a000001/"):
        error = await error_of(agent, url=target, proxy=proxy)
        assert error.code == "HTTP_ADDRESS_REFUSED"
    assert server.connections == 0
    assert (await agent.invoke("request", {"url": "http://example.com/x", "proxy": proxy}))["success"]
    assert server.received[0].target == "http://example.com/x"
    await agent.close()


async def test_a_proxy_of_the_environment_is_judged_as_well(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    agent = agent_of(STRICT)
    error = await error_of(agent, url="http://example.com/")
    assert error.code == "HTTP_ADDRESS_REFUSED"
    await agent.close()
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)))
    assert (await agent.invoke("request", {"url": "http://example.com/"}))["success"]
    await agent.close()
    assert json.dumps([request.target for request in server.received]) == '["http://example.com/"]'


async def test_the_authorization_server_is_judged_as_well(server: Server) -> None:
    names = Names(public_test=[["127.0.0.1"]])
    agent = agent_of(AddressGuard(refuses_private=True, allowed=(LOOPBACK,)), names)
    connection = {
        "integration_id": "http_oauth2_client_credentials",
        "parameters": {"token_url": "http://127.0.0.2/token", "client_id": "c", "client_secret": "hunter2"},
    }
    error = await error_of(agent, url=f"http://public.test:{server.port}/", _connection=connection)
    assert (error.code, error.attributes["url"]) == ("HTTP_ADDRESS_REFUSED", "http://127.0.0.2/token")
    assert server.connections == 0
    await agent.close()
