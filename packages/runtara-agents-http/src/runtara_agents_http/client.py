"""The one HTTP client of a process: connections are reused from step to step."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import weakref
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import certifi
from runtara_sdk.agents import AgentError

from runtara_agents_http.decompression import OFFERED

if TYPE_CHECKING:
    import httpx

_MAXIMUM_CONNECTIONS = 100
_IDLE_CONNECTIONS = 20
_IDLE_SECONDS = 15.0


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

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """As of the base class; raises `AgentError` when the authorities cannot be read."""
        self._read_authorities()
        return super().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """As of the base class; raises `AgentError` when the authorities cannot be read."""
        self._read_authorities()
        return super().wrap_socket(*arguments, **options)

    def _read_authorities(self) -> None:
        if self._authorities is None:
            return
        try:
            self.load_verify_locations(cafile=self._authorities)
        except OSError as error:
            raise AgentError.permanent(
                "HTTP_TLS_ERROR",
                f"the authorities cannot be read from {self._authorities}: {error}; SSL_CERT_FILE names a PEM file",
            ) from error
        self._authorities = None


def _load_httpx() -> None:
    """Import httpx without the command line that it brings along where rich and click are installed.

    That takes longer than the rest of httpx, which does without it where it cannot be imported.
    """
    command_line = "httpx._main"
    if "httpx" not in sys.modules:
        sys.modules[command_line] = cast("ModuleType", None)  # importing it fails
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules[command_line]


class HttpClientPool:
    """One client per event loop, made on first use. httpx itself is imported then, not before."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = (
            weakref.WeakKeyDictionary()
        )

    def client(self) -> httpx.AsyncClient:
        """The client of the running event loop."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None or client.is_closed:
            client = self._clients[loop] = self._new_client()
        return client

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        _load_httpx()
        import httpx

        # A bare container has no CA store; SSL_CERT_FILE is the usual way to add a private authority.
        context = LateContext(os.environ.get("SSL_CERT_FILE") or certifi.where())
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(
            verify=context,
            cookies=no_cookies,  # steps must not influence each other
            headers={"User-Agent": self._user_agent, "Accept-Encoding": OFFERED},
            timeout=None,  # noqa: S113 - the whole exchange has one deadline, set by the caller
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=_MAXIMUM_CONNECTIONS,
                max_keepalive_connections=_IDLE_CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )
