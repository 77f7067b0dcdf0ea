"""The one HTTP client of a process: connections are reused from step to step."""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from typing import TYPE_CHECKING

import certifi

if TYPE_CHECKING:
    import httpx

_MAXIMUM_CONNECTIONS = 100
_IDLE_CONNECTIONS = 20
_IDLE_SECONDS = 15.0


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

        import httpx

        # A bare container has no CA store; SSL_CERT_FILE is the usual way to add a private authority.
        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
        no_cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(
            verify=context,
            cookies=no_cookies,  # steps must not influence each other
            headers={"User-Agent": self._user_agent},
            timeout=None,  # noqa: S113 - the whole exchange has one deadline, set by the caller
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=_MAXIMUM_CONNECTIONS,
                max_keepalive_connections=_IDLE_CONNECTIONS,
                keepalive_expiry=_IDLE_SECONDS,
            ),
        )
