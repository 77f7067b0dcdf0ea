"""TLS of a step and of a connection: private authorities, client certificates, and none of it where that is said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from runtara_agents_http.client import MAXIMUM_CLIENTS, HttpClientPool
from runtara_agents_http.tls import TlsSettings
from runtara_agents_http.transport_settings import TransportSettings
from runtara_sdk.agents import AgentDefinition, AgentError, CapabilityContext
from runtara_sdk.agents.workspace import Workspace

from .certificates import Authority
from .conftest import error_of
from .http_server import Server, started_server
from .test_credentials import connection_of


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def secure_server(authority: Authority, tmp_path: Path) -> AsyncIterator[Server]:
    async for server in started_server(authority.server_context(tmp_path)):
        yield server


@pytest.fixture
async def asking_server(authority: Authority, tmp_path: Path) -> AsyncIterator[Server]:
    """Talks only to clients with a certificate of the authority."""
    async for server in started_server(authority.server_context(tmp_path, asks_clients=True)):
        yield server


def certificate_connection(authority: Authority, **parameters: Any) -> dict[str, Any]:
    issued = authority.issue("client.test")
    own = {"certificate": issued.certificate, "private_key": issued.private_key, "ca_bundle": authority.certificate}
    return connection_of("http_client_certificate", **own | parameters)


async def test_a_step_may_bring_its_authorities(
    http: AgentDefinition, authority: Authority, secure_server: Server, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(f"# Zertifikate für Käse\n{authority.certificate}")
    context = CapabilityContext(workspace=Workspace(tmp_path))
    for bundle in (authority.certificate, {"$file": "ca.pem"}):
        result = await http.invoke("request", {"url": secure_server.url, "ca_bundle": bundle}, context)
        assert result["success"]
    assert (await error_of(http, url=secure_server.url)).code == "HTTP_TLS_ERROR"
    other = Authority().certificate
    assert (await error_of(http, url=secure_server.url, ca_bundle=other)).code == "HTTP_TLS_ERROR"
    assert secure_server.connections <= 4


async def test_a_step_may_do_without_verification(http: AgentDefinition, secure_server: Server) -> None:
    assert (await http.invoke("request", {"url": secure_server.url, "verify_tls": False}))["success"]
    # The next step is verified again.
    assert (await error_of(http, url=secure_server.url)).code == "HTTP_TLS_ERROR"


@pytest.mark.parametrize(
    "bundle", ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN X", "aGk="]
)
async def test_authorities_that_are_none(http: AgentDefinition, secure_server: Server, bundle: str) -> None:
    error = await error_of(http, url=secure_server.url, ca_bundle=bundle)
    assert (error.code, error.retryable) == ("HTTP_INVALID_CERTIFICATE", False)
    assert "ca_bundle" in error.message


async def test_client_certificates_are_shown(
    http: AgentDefinition, authority: Authority, asking_server: Server
) -> None:
    connection = certificate_connection(authority, base_url=asking_server.url)
    assert (await http.invoke("request", {"url": "/x", "_connection": connection}))["success"]
    locked = authority.issue("client.test", passphrase="hunter2")
    connection = certificate_connection(
        authority, certificate=locked.certificate, private_key=locked.private_key, passphrase="hunter2"
    )
    assert (await http.invoke("request", {"url": asking_server.url, "_connection": connection}))["success"]


async def test_without_a_certificate_the_server_refuses(
    http: AgentDefinition, authority: Authority, tmp_path: Path
) -> None:
    context = authority.server_context(tmp_path, asks_clients=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=tell_why, args=(listener, context, 2))
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        error = await error_of(http, url=url, ca_bundle=authority.certificate)
        assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
        assert "certificate required" in error.message
        stranger = certificate_connection(Authority(), ca_bundle=authority.certificate)
        error = await error_of(http, url=url, _connection=stranger)
        assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
        await asyncio.to_thread(thread.join)


def tell_why(listener: socket.socket, context: ssl.SSLContext, count: int) -> None:
    """A server that refuses clients in the handshake, and waits until they have read why."""
    for _ in range(count):
        connection, _ = listener.accept()
        with connection.dup() as raw:
            with contextlib.suppress(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while raw.recv(4096):
                    pass


async def test_a_certificate_is_shown_at_the_origin_of_the_connection_only(
    http: AgentDefinition, authority: Authority, secure_server: Server, tmp_path: Path
) -> None:
    context = authority.server_context(tmp_path)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=authority.certificate)
    shown: list[bool] = []

    async for curious_server in started_server(context):

        async def note(_request: Any, writer: asyncio.StreamWriter) -> tuple[int, dict[str, str], bytes]:
            shown.append(bool(writer.get_extra_info("peercert")))
            return 200, {}, b""

        curious_server.handlers["/note"] = note
        inputs = {"ca_bundle": authority.certificate}
        home = certificate_connection(authority, base_url=curious_server.url)
        await http.invoke("request", {"url": "/note", "_connection": home, **inputs})
        elsewhere = certificate_connection(authority, base_url=secure_server.url)
        secure_server.answer("/", status=307, Location=f"{curious_server.url}/note")
        await http.invoke("request", {"url": "/", "_connection": elsewhere, **inputs})
        await http.invoke("request", {"url": f"{curious_server.url}/note", "_connection": elsewhere, **inputs})
    assert shown == [True, False, False]


async def test_keys_that_cannot_be_used(http: AgentDefinition, authority: Authority, secure_server: Server) -> None:
    locked = authority.issue("client.test", passphrase="hunter2")
    other = authority.issue("client.test")
    for parameters in (
        {"private_key": other.private_key},
        {"private_key": "hunter2"},
        {"certificate": "hunter2"},
        {"certificate": locked.certificate, "private_key": locked.private_key},
        {"certificate": locked.certificate, "private_key": locked.private_key, "passphrase": "hunter3"},
    ):
        connection = certificate_connection(authority, **parameters)
        error = await error_of(http, url=secure_server.url, _connection=connection)
        assert (error.code, error.retryable) == ("HTTP_INVALID_CERTIFICATE", False), parameters
        assert "hunter" not in json.dumps(error.to_json())
    assert secure_server.received == []


def test_keys_do_not_stay_on_the_disk(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runtara_agents_http.tls import ClientCertificate

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    issued = authority.issue("client.test")
    for key in (issued.private_key, "no key"):
        settings = TlsSettings(certificate=ClientCertificate(issued.certificate, key))
        try:
            settings.context()
        except AgentError as error:
            assert error.code == "HTTP_INVALID_CERTIFICATE"
    assert list(tmp_path.iterdir()) == []


async def test_a_plain_server_under_https_is_a_tls_error(http: AgentDefinition) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    error = await error_of(http, url=f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/")
    assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
    listener.close()


async def test_a_proxy_tunnels_tls(
    http: AgentDefinition, authority: Authority, secure_server: Server, server: Server
) -> None:
    targets: list[str] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        targets.append(head.split(" ")[1])
        port = int(targets[-1].rpartition(":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    target.write(data)
            finally:
                target.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    listener = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    for _ in range(2):
        inputs = {
            "url": f"https://localhost:{secure_server.port}/x",
            "proxy": proxy,
            "ca_bundle": authority.certificate,
        }
        assert (await http.invoke("request", inputs))["success"]
    assert targets == [f"localhost:{secure_server.port}"]
    await http.close()
    listener.close()


async def test_large_bodies_pass_tls_in_both_directions(
    http: AgentDefinition, authority: Authority, secure_server: Server
) -> None:
    async def echo(request: Any, _writer: asyncio.StreamWriter) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/plain"}, request.body

    secure_server.handlers["/"] = echo
    text = "0123456789" * 300_000
    inputs = {"url": secure_server.url, "body_type": "text", "body": text, "ca_bundle": authority.certificate}
    assert (await http.invoke("request", inputs))["body"] == text


async def test_clients_are_bounded_and_end_in_peace(server: Server) -> None:
    pool = HttpClientPool("test")
    held = await pool.lease(TransportSettings(proxy="http://127.0.0.1:1"))
    settings = [TransportSettings(proxy=f"http://127.0.0.1:{number}") for number in range(2, MAXIMUM_CLIENTS + 3)]
    leases = []
    for each in settings:
        lease = await pool.lease(each)
        leases.append(lease)
        await lease.give_back()
    assert not held.client.is_closed  # somebody uses it still
    await held.give_back()
    assert held.client.is_closed
    assert [lease.client.is_closed for lease in leases].count(False) == MAXIMUM_CLIENTS
    again = await pool.lease(settings[-1])
    assert again.client is leases[-1].client
    await again.give_back()
    await pool.close()
    assert leases[-1].client.is_closed
