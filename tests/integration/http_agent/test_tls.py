"""Servers are verified, against the public authorities or a private one."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from runtara_agents_http import HttpAgent
from runtara_sdk.agents import AgentDefinition

from .conftest import error_of
from .http_server import started_server


def self_signed_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


async def test_tls_is_verified_and_a_private_authority_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async for secure_server in started_server(context):
        stranger, friend = AgentDefinition.of(HttpAgent()), AgentDefinition.of(HttpAgent())
        error = await error_of(stranger, url=secure_server.url)
        assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert (await friend.invoke("request", {"url": secure_server.url}))["success"]
        await stranger.close()
        await friend.close()


async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed_certificate(tmp_path))
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    async for secure_server in started_server(context):
        for path in (text, tmp_path / "absent.pem"):
            monkeypatch.setenv("SSL_CERT_FILE", str(path))
            agent = AgentDefinition.of(HttpAgent())
            error = await error_of(agent, url=secure_server.url)
            assert (error.code, error.retryable) == ("HTTP_TLS_ERROR", False)
            assert str(path) in error.message
            await agent.close()
