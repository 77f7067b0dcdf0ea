"""The certificate that a daemon shows: given by its operator, or made under its data directory.

It is looked at again every minute while the daemon runs, so that a renewed certificate is shown without a restart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtara_sdk.clock import Clock
from runtara_sdk.errors import ConfigurationError, RuntaraError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import TlsIdentity

if TYPE_CHECKING:
    from runtara_sdk.transport.quic import QuicServer

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What a daemon shows to its clients, and what they verify it with.

    Attributes:
        tls: certificate chain and private key.
        ca_path: the authority to pin; None when a certificate was given, which public or RUNTARA_CA_FILE's authorities
            sign.
    """

    tls: TlsIdentity
    ca_path: Path | None


@dataclass(frozen=True, slots=True)
class IdentitySource:
    """Where a daemon's certificate comes from.

    Attributes:
        data_dir: where a local authority is kept when none is given (DATA_DIR).
        server_names: further names in the certificate that it signs (RUNTARA_SERVER_NAMES).
        given: certificate and key of the operator (RUNTARA_TLS_CERT_FILE, RUNTARA_TLS_KEY_FILE).
    """

    data_dir: Path
    server_names: tuple[str, ...] = ()
    given: TlsIdentity | None = None

    def load(self) -> ServerIdentity:
        """The identity as it is now; makes or renews what is missing or due. Raises `ConfigurationError`."""
        if self.given is not None:
            _require_pair(self.given)
            return ServerIdentity(self.given, None)
        from runtara_core.certificates import ensure_certificates

        certificates = ensure_certificates(self.data_dir, self.server_names)
        return ServerIdentity(certificates.identity, certificates.ca_path)


def given_identity(reader: EnvironmentReader) -> TlsIdentity | None:
    """RUNTARA_TLS_CERT_FILE and RUNTARA_TLS_KEY_FILE; raises `ConfigurationError` when only one is set."""
    certificate, key = (reader.optional_text(f"RUNTARA_TLS_{kind}_FILE") for kind in ("CERT", "KEY"))
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "RUNTARA_TLS_CERT_FILE" if certificate is None else "RUNTARA_TLS_KEY_FILE"
        raise ConfigurationError(f"{missing} is not set: a certificate and its private key are given together")
    return TlsIdentity(Path(certificate), Path(key))


async def follow_identity(source: IdentitySource, servers: Sequence[QuicServer], clock: Clock) -> None:
    """Show every renewed certificate, for ever; one that cannot be used leaves the old one and a warning."""
    shown: bytes | None = None
    while True:
        try:
            identity = (await asyncio.to_thread(source.load)).tls
            content = await asyncio.to_thread(identity.certificate_path.read_bytes)
            if shown is not None and content != shown:
                for server in servers:
                    server.replace_identity(identity)
                logger.info("serving with the renewed certificate %s", identity.certificate_path)
            shown = content
        except (RuntaraError, OSError) as error:
            logger.warning("the server certificate cannot be renewed: %s", error)
        await clock.sleep(_CHECK_SECONDS)


def _require_pair(identity: TlsIdentity) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    where = f"RUNTARA_TLS_CERT_FILE={str(identity.certificate_path)!r}"
    try:
        certificate = x509.load_pem_x509_certificates(identity.certificate_path.read_bytes())[0]
        key = serialization.load_pem_private_key(identity.private_key_path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}; see RUNTARA_TLS_*_FILE") from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{where} and RUNTARA_TLS_KEY_FILE are not PEM files to be used: {error}") from error
    if certificate.public_key() != key.public_key():
        raise ConfigurationError(f"{where} is not the certificate of the key in RUNTARA_TLS_KEY_FILE")
