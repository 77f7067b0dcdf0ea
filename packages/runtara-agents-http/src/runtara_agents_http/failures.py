"""Failures of the network, of TLS and of the address guard, as errors of a capability."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError, KnownError

if TYPE_CHECKING:
    import httpx

    from runtara_agents_http.network import AddressRefusedError

NETWORK_ERRORS = (
    KnownError.transient("NETWORK_ERROR", "The server cannot be reached or the connection broke.", "url"),
    KnownError.transient("TIMEOUT", "The exchange did not end within timeout_ms.", "url"),
    KnownError.transient("HTTP_CONNECT_TIMEOUT", "No connection within connect_timeout_ms.", "url"),
    KnownError.transient("HTTP_READ_TIMEOUT", "The server was silent for read_timeout_ms.", "url"),
    KnownError.permanent("HTTP_TLS_ERROR", "The server's certificate is not trusted, or TLS was refused.", "url"),
    KnownError.permanent("HTTP_INVALID_CERTIFICATE", "A certificate or key of the connection or step is unusable."),
    KnownError.permanent("HTTP_ADDRESS_REFUSED", "The address may not be connected to.", "url", "address"),
    KnownError.transient("HTTP_PROXY_ERROR", "The proxy did not connect.", "url"),
    KnownError.permanent("HTTP_PROXY_ERROR", "The proxy asks for credentials, or refuses.", "url"),
    KnownError.permanent("HTTP_INVALID_PROXY", "The proxy is no HTTP proxy."),
)

OAUTH_INVALID_CREDENTIALS = "HTTP_OAUTH_INVALID_CREDENTIALS"
OAUTH_REFUSED = "HTTP_OAUTH_REFUSED"
OAUTH_UNAVAILABLE = "HTTP_OAUTH_UNAVAILABLE"
OAUTH_INVALID_RESPONSE = "HTTP_OAUTH_INVALID_RESPONSE"

OAUTH2_ERRORS = (
    KnownError.permanent(
        OAUTH_INVALID_CREDENTIALS, "The authorization server does not accept the client.", "token_url"
    ),
    KnownError.permanent(OAUTH_REFUSED, "The authorization server refuses a token.", "token_url", "error"),
    KnownError.transient(OAUTH_UNAVAILABLE, "The authorization server cannot be reached or is busy.", "token_url"),
    KnownError.permanent(
        OAUTH_INVALID_RESPONSE, "The authorization server's answer holds no bearer token.", "token_url"
    ),
)

_LOST_CONNECTIONS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError, ssl.SSLWantReadError)
_PASSING_REASONS = ("INTERNAL_ERROR", "BAD_RECORD_MAC", "CLOSE_NOTIFY", "UNEXPECTED_EOF", "USER_CANCELLED")
_REFUSING_PROXY = ("403", "407")


def transport_error(error: httpx.TransportError, shown: str) -> AgentError:
    """The error of a call whose client failed with `error`; `shown` is its URL, fit for messages."""
    import httpx

    attributes = {"url": shown}
    tls = _tls_error(error)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return AgentError.permanent(
            "HTTP_TLS_ERROR",
            f"{shown}: the certificate is not trusted: {tls.verify_message}; SSL_CERT_FILE or ca_bundle names a "
            "private authority",
            attributes=attributes,
        )
    if tls is not None:
        reason = (tls.reason or "TLS failed").replace("_", " ").lower()
        return AgentError.permanent("HTTP_TLS_ERROR", f"{shown}: {reason}", attributes=attributes)
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return AgentError.transient("HTTP_CONNECT_TIMEOUT", f"{shown}: {error}", attributes=attributes)
    if isinstance(error, httpx.TimeoutException):
        return AgentError.transient("HTTP_READ_TIMEOUT", f"{shown}: {error}", attributes=attributes)
    if isinstance(error, httpx.ProxyError):
        make = AgentError.permanent if str(error).startswith(_REFUSING_PROXY) else AgentError.transient
        return make("HTTP_PROXY_ERROR", f"{shown}: the proxy answered {error}", attributes=attributes)
    return network_error(error, shown)


def network_error(error: httpx.RequestError, shown: str) -> AgentError:
    """The transient error of a network that failed."""
    reason = str(error).partition("\n")[0][:200] or type(error).__name__
    return AgentError.transient("NETWORK_ERROR", f"{shown}: {reason}", attributes={"url": shown})


def address_refused(error: AddressRefusedError, shown: str) -> AgentError:
    """The permanent error of an address that may not be connected to."""
    remedy = error.refused.remedy or "no setting allows it"
    return AgentError.permanent(
        "HTTP_ADDRESS_REFUSED",
        f"{shown}: {error.host[:200]} is {error.address}, {error.refused.kind}, which is refused; {remedy}",
        attributes={"url": shown, "address": error.address},
    )


def timed_out(timeout_ms: int, shown: str) -> AgentError:
    """The transient error of an exchange that took longer than it may."""
    return AgentError.transient("TIMEOUT", f"{shown} did not answer within {timeout_ms} ms", attributes={"url": shown})


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    """The failure of TLS behind an error, unless the connection was lost rather than refused."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _LOST_CONNECTIONS):
            return None if any(reason in (cause.reason or "") for reason in _PASSING_REASONS) else cause
        cause = cause.__cause__ or cause.__context__
    return None
