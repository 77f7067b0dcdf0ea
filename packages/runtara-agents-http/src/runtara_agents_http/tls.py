"""TLS of requests: which authorities are trusted, and with which certificate the agent shows who it is."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import ssl
import sys
from dataclasses import dataclass, field
from pathlib import Path

import certifi
from runtara_sdk.agents import AgentError

_DIGEST_KEY = secrets.token_bytes(32)
TLS_ERROR = "HTTP_TLS_ERROR"
INVALID_CERTIFICATE = "HTTP_INVALID_CERTIFICATE"

_CERTIFICATE = re.compile(r"-----BEGIN (?:X509 )?CERTIFICATE-----.*?-----END (?:X509 )?CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What the agent shows to servers that ask; all of it PEM text."""

    certificate: str = field(repr=False)
    private_key: str = field(repr=False)
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How servers are verified and the agent is.

    Attributes:
        verifies: whether certificate and name of a server are checked.
        authorities: PEM text of the authorities that are trusted in place of the public ones; "" for those.
        certificate: the agent's own, if it has one.
    """

    verifies: bool = True
    authorities: str = field(default="", repr=False)
    certificate: ClientCertificate | None = None

    def key(self) -> str:
        """The same for the same settings in one process; nothing can be read from it."""
        parts = [str(self.verifies), self.authorities]
        if self.certificate is not None:
            parts += [self.certificate.certificate, self.certificate.private_key, self.certificate.passphrase]
        return secret_digest(*parts)

    def context(self) -> ssl.SSLContext:
        """A context of these settings.

        Raises:
            AgentError: permanent HTTP_INVALID_CERTIFICATE.
        """
        context = LateContext(os.environ.get("SSL_CERT_FILE") or certifi.where())
        if not self.verifies:
            context.forgo_verification()
        elif self.authorities:
            context.trust(self.authorities)
        if self.certificate is not None:
            _load_certificate(context, self.certificate)
        return context


class LateContext(ssl.SSLContext):
    """Verifies servers as `ssl.create_default_context` does; reads the authorities when the first one is met.

    Reading them takes longer than a call, and many workflows call plain `http://` services of their own network only.
    """

    _authorities: str | None

    def __new__(cls, authorities: str) -> LateContext:
        """A context for the PEM file `authorities`."""
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)  # which verifies certificate and name
        if sys.version_info >= (3, 13):
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
        context._authorities = authorities
        return context

    def read_authorities(self) -> None:
        """Read them unless that was done; raises `AgentError` when they cannot be read."""
        if self._authorities is None:
            return
        try:
            self.load_verify_locations(cafile=self._authorities)
        except OSError as error:
            raise AgentError.permanent(
                TLS_ERROR,
                f"the authorities cannot be read from {self._authorities}: {error}; SSL_CERT_FILE names a PEM file",
            ) from error
        self._authorities = None

    def trust(self, authorities: str) -> None:
        """Trust the authorities of a PEM text alone; raises `AgentError` when they cannot be read."""
        self._authorities = None
        certificates = "\n".join(_CERTIFICATE.findall(authorities))  # such files often hold comments in any encoding
        try:
            self.load_verify_locations(cadata=certificates)
        except (ssl.SSLError, ValueError, TypeError) as error:
            raise invalid_certificate("ca_bundle", _reason(error)) from None

    def forgo_verification(self) -> None:
        """Talk to whoever answers."""
        self._authorities = None
        self.check_hostname = False
        self.verify_mode = ssl.CERT_NONE


def ready_context(context: ssl.SSLContext) -> None:
    """Have a context complete before a handshake, where its failure can be told; raises `AgentError`."""
    if isinstance(context, LateContext):
        context.read_authorities()


def secret_digest(*parts: str) -> str:
    """A digest to tell secrets apart in this process alone: it cannot be tried against guesses from outside."""
    digest = hmac.new(_DIGEST_KEY, digestmod=hashlib.sha256)
    for part in parts:
        encoded = part.encode(errors="surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def invalid_certificate(name: str, reason: str) -> AgentError:
    """The error of certificates and keys that cannot be used."""
    return AgentError.permanent(INVALID_CERTIFICATE, f"{name} cannot be used: {reason}; it must be PEM text")


def _load_certificate(context: ssl.SSLContext, own: ClientCertificate) -> None:
    """The interpreter reads certificates from files only: these live for that moment, and only for this user."""
    import tempfile  # with shutil and random behind it, for few

    with tempfile.TemporaryDirectory(prefix="runtara-tls-") as directory:
        certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
        try:
            _write_private(certificate, own.certificate)
            _write_private(key, own.private_key)
            # Without a function, an encrypted key would have the terminal asked for its passphrase.
            context.load_cert_chain(certificate, key, password=lambda: own.passphrase.encode(errors="replace"))
        except (ssl.SSLError, ValueError) as error:
            reason = _reason(error)
            if "DECRYPT" in reason or "PASSWORD" in reason:
                reason = "the passphrase does not fit the private key"
            raise invalid_certificate("the client certificate with its private key", reason) from None
        except OSError as error:
            raise AgentError.transient(
                TLS_ERROR, f"the client certificate cannot be loaded: {error.strerror or type(error).__name__}"
            ) from None


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write(text)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason
    return "it holds no certificate"
