"""The transport of the HTTP client: pools of connections, directly or through a proxy, over the guarded network."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator

import httpcore
import httpx
from runtara_sdk.agents import AgentError

from runtara_agents_http.network import GuardedBackend
from runtara_agents_http.target import without_credentials
from runtara_agents_http.tls import TlsSettings
from runtara_agents_http.transport_settings import DIRECT, TransportSettings

_HOST = re.compile(r"[0-9A-Za-z._:-]+")
_MAXIMUM_CONNECTIONS = 100
_IDLE_CONNECTIONS = 20
_IDLE_SECONDS = 15.0

_POOL_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


class _NoCookies(httpx.Cookies):
    """Neither takes nor gives any: steps must not influence each other."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Take none."""

    def set_cookie_header(self, request: httpx.Request) -> None:
        """Give none."""


class CookielessClient(httpx.AsyncClient):
    """A client that keeps no cookies, and does not look for them."""

    _no_cookies = _NoCookies()

    @property  # type: ignore[misc]  # that the base class lets them be replaced is nothing that anybody needs
    def cookies(self) -> httpx.Cookies:
        """None."""
        return self._no_cookies


class PooledTransport(httpx.AsyncBaseTransport):
    """Sends requests over connections that are kept for later ones."""

    def __init__(self, settings: TransportSettings, backend: GuardedBackend) -> None:
        """Raises `AgentError` for a proxy or a certificate that cannot be used."""
        self._backend = backend
        self._context = settings.tls.context()
        self._proxies = _proxies(settings.proxy)
        self._direct = httpcore.AsyncConnectionPool(
            ssl_context=self._context,
            max_connections=_MAXIMUM_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=backend,
        )
        self._through: dict[str, httpcore.AsyncHTTPProxy] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of the response is not read yet.

        Raises:
            httpx.TransportError: the network or the server failed.
            AddressRefusedError: the address may not be connected to.
        """
        url = request.url
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await self._pool(url).handle_async_request(outgoing)
        except _POOL_ERRORS as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in (self._direct, *self._through.values()):
            await pool.aclose()

    def _pool(self, url: httpx.URL) -> httpcore.AsyncConnectionPool:
        proxy = self._proxy_for(url)
        if proxy is None:
            return self._direct
        # The proxy connects, to where its own resolver leads; what is an address already is judged here.
        self._backend.check_literal(url.host)
        pool = self._through.get(proxy)
        if pool is None:
            pool = self._through[proxy] = self._new_proxy(proxy)
        return pool

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if not self._proxies:
            return None
        host = f"{url.host}:{url.port}" if url.port is not None else url.host
        if urllib.request.proxy_bypass_environment(host, self._proxies):  # type: ignore[attr-defined]  # not in typeshed
            return None
        return self._proxies.get(url.scheme) or self._proxies.get("all")

    def _new_proxy(self, proxy: str) -> httpcore.AsyncHTTPProxy:
        parts = _checked_proxy(proxy)
        credentials = None
        if parts.username is not None:
            name, word = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
            credentials = (name.encode(), word.encode())
        secure = parts.scheme == "https"
        return httpcore.AsyncHTTPProxy(
            proxy_url=httpcore.URL(
                scheme=parts.scheme,
                host=parts.hostname or "",
                port=parts.port or (443 if secure else 80),
                target="/",
            ),
            proxy_auth=credentials,
            ssl_context=self._context,
            proxy_ssl_context=TlsSettings().context() if secure else None,
            max_connections=_MAXIMUM_CONNECTIONS,
            max_keepalive_connections=_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )


class _ResponseStream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.aiter_stream():
                yield piece
        except _POOL_ERRORS as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        except _POOL_ERRORS as error:
            raise _as_httpx(error) from error


def _as_httpx(error: Exception) -> Exception:
    """An error of the pools as that of the client, which has the same name."""
    made: Exception = getattr(httpx, type(error).__name__, httpx.TransportError)(str(error))
    return made


def _proxies(proxy: str) -> dict[str, str]:
    """Proxies by the scheme of a URL, and under `no` the hosts that are reached without."""
    if proxy == DIRECT:
        return {}
    if proxy:
        _checked_proxy(proxy)
        return {"all": proxy}
    found = urllib.request.getproxies_environment()
    return found if any(found.get(scheme) for scheme in ("http", "https", "all")) else {}


def _checked_proxy(proxy: str) -> urllib.parse.SplitResult:
    try:
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        is_proxy = parts.scheme in ("http", "https") and parts.port != 0
        if is_proxy and proxy.isprintable() and _HOST.fullmatch(parts.hostname or ""):
            return parts
    except ValueError:
        pass
    raise AgentError.permanent(
        "HTTP_INVALID_PROXY",
        f"proxy {without_credentials(proxy)!r} is not usable: give http://host:port or https://host:port, or none",
    )
