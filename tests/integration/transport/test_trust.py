"""Whom a client trusts, and the certificate that a server shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from runtara_sdk.errors import ConfigurationError, TransportError
from runtara_sdk.testing.certificates import make_test_authority
from runtara_sdk.transport import TlsIdentity
from runtara_sdk.transport.quic import QuicClient, serve_quic

from .conftest import LIBRARIES, SETTINGS, answering, echo


@pytest.mark.parametrize("server_library", LIBRARIES)
@pytest.mark.parametrize("client_library", LIBRARIES)
class TestTrust:
    async def test_another_authority_is_refused(
        self, tmp_path: Path, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        other_ca, _ = make_test_authority(tmp_path)
        await self.expect_refusal(authority[1], other_ca, "localhost", client_library, server_library)

    async def test_another_name_is_refused(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        await self.expect_refusal(authority[1], authority[0], "example.org", client_library, server_library)

    async def test_the_public_roots_do_not_trust_a_local_authority(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        await self.expect_refusal(authority[1], None, "localhost", client_library, server_library)

    async def test_a_client_without_verification_accepts_anybody(
        self, authority: tuple[Path, TlsIdentity], client_library: str, server_library: str
    ) -> None:
        server = await serve_quic(answering(echo), SETTINGS, authority[1], library=server_library)
        client = QuicClient(server.address, server_name="example.org", verify=False, library=client_library)
        assert await client.call(b"anybody") == b"anybody"
        await client.close()
        await server.close()

    @staticmethod
    async def expect_refusal(
        identity: TlsIdentity, ca_file: Path | None, server_name: str, client_library: str, server_library: str
    ) -> None:
        server = await serve_quic(answering(echo), SETTINGS, identity, library=server_library)
        client = QuicClient(
            server.address, server_name=server_name, ca_file=ca_file, library=client_library, connect_timeout_ms=5_000
        )
        with pytest.raises(TransportError, match="TLS handshake failed") as refusal:
            await client.connect()
        assert not refusal.value.retryable
        assert not client.is_connected
        await client.close()
        await server.close()


async def test_an_unusable_identity_is_a_clear_error(tmp_path: Path, authority: tuple[Path, TlsIdentity]) -> None:
    missing = TlsIdentity(tmp_path / "none.pem", tmp_path / "none-key.pem")
    with pytest.raises(ConfigurationError, match=r"cannot read the certificate .*none\.pem"):
        await serve_quic(answering(echo), SETTINGS, missing)
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigurationError, match="are not a PEM certificate"):
        await serve_quic(answering(echo), SETTINGS, TlsIdentity(broken, authority[1].private_key_path))
