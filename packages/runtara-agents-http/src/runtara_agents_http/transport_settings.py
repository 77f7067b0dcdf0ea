"""What tells one client from another: TLS and proxy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runtara_sdk.agents import CapabilityContext
from runtara_sdk.agents.files import read_file

from runtara_agents_http.credentials import Credentials
from runtara_agents_http.models import HttpRequestInput
from runtara_agents_http.tls import TlsSettings, invalid_certificate, secret_digest

DIRECT = "none"
"""The `proxy` of a step that wants none, whatever the environment says."""

_BUNDLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How a client connects.

    Attributes:
        tls: how servers are verified, and the agent is.
        proxy: URL of an HTTP proxy; "" for what the environment says, `none` for none.
    """

    tls: TlsSettings = field(default_factory=TlsSettings)
    proxy: str = field(default="", repr=False)

    def key(self) -> str:
        """The same for the same settings in one process; nothing can be read from it."""
        return secret_digest(self.tls.key(), self.proxy)


@dataclass(frozen=True, slots=True)
class SettingsByOrigin:
    """Settings at the origin of the connection, and those anywhere else; None for the common ones."""

    home: TransportSettings | None = None
    elsewhere: TransportSettings | None = None


def settings_of(request: HttpRequestInput, credentials: Credentials, context: CapabilityContext) -> SettingsByOrigin:
    """The settings that a step and its connection ask for.

    Raises:
        AgentError: `ca_bundle` is not to be had.
    """
    authorities = "" if request.ca_bundle is None else _pem_text(request.ca_bundle, context)
    proxy = request.proxy or ""
    plain = TransportSettings(TlsSettings(request.verify_tls, authorities), proxy)
    elsewhere = None if plain == TransportSettings() else plain
    if credentials.certificate is None and not credentials.authorities:
        return SettingsByOrigin(elsewhere, elsewhere)
    tls = TlsSettings(request.verify_tls, authorities or credentials.authorities, credentials.certificate)
    return SettingsByOrigin(TransportSettings(tls, proxy), elsewhere)


def _pem_text(bundle: Any, context: CapabilityContext) -> str:
    if isinstance(bundle, str) and "-----BEGIN" in bundle:
        return bundle
    text = read_file(bundle, context, limit_bytes=_BUNDLE_BYTES).decode(errors="replace")
    if "-----BEGIN" not in text:
        raise invalid_certificate("ca_bundle", "it holds no certificate")
    return text
