"""The HTTP clients of a process: connections are reused from step to step."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import sys
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, cast

from runtara_agents_http.address_guard import AddressGuard
from runtara_agents_http.decompression import OFFERED
from runtara_agents_http.rate_limits import RateLimits

if TYPE_CHECKING:
    import httpx

    from runtara_agents_http.network import Resolver
    from runtara_agents_http.oauth2 import TokenCache
    from runtara_agents_http.transport_settings import TransportSettings

MAXIMUM_CLIENTS = 16
"""Of one event loop: what differs in TLS or proxy needs a client of its own."""

_DEFAULT_KEY = ""


@lru_cache(maxsize=1)
def load_httpx() -> None:
    """Import httpx, lighter and quieter than by itself; does nothing from the second call on."""
    command_line = "httpx._main"
    if "httpx" not in sys.modules:
        # Where rich and click are installed, it brings a command line along that takes longer than the rest of it.
        sys.modules[command_line] = cast("ModuleType", None)  # importing it fails, which httpx provides for
        try:
            import httpx  # noqa: F401
        finally:
            del sys.modules[command_line]
    if importlib.util.find_spec("sniffio") is None:
        # httpcore looks for it four times a request, a third of its time, as nobody remembers that it is not there.
        sys.modules.setdefault("sniffio", cast("ModuleType", None))
    # Below these levels they write down URLs, whose query may hold a key, and headers.
    for name, level in (("httpx", logging.WARNING), ("httpcore", logging.INFO)):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


@dataclass(slots=True)
class _Client:
    client: httpx.AsyncClient
    users: int = 0
    is_evicted: bool = False


@dataclass(frozen=True, slots=True)
class ClientLease:
    """A client that stays open until it is given back."""

    client: httpx.AsyncClient
    _entry: _Client

    async def give_back(self) -> None:
        """End the use."""
        self._entry.users -= 1
        if self._entry.is_evicted and not self._entry.users:
            await self.client.aclose()


class HttpClientPool:
    """One client per event loop and configuration, made on first use. httpx itself is imported then, not before.

    Args:
        user_agent: sent where a step names none.
        guard: which addresses may be connected to; as the environment says when left out.
        resolver: from names to addresses; the system's when left out.
    """

    def __init__(self, user_agent: str, *, guard: AddressGuard | None = None, resolver: Resolver | None = None) -> None:
        self._user_agent = user_agent
        self._guard = guard
        self._resolver = resolver
        self._tokens: TokenCache | None = None
        self.rate_limits = RateLimits()
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, OrderedDict[str, _Client]] = (
            weakref.WeakKeyDictionary()
        )

    def client(self) -> httpx.AsyncClient:
        """The client of the running event loop for calls without a configuration of their own.

        Raises:
            ConfigurationError: a variable of the address guard cannot be read.
        """
        return self._entry(None).client

    async def lease(self, settings: TransportSettings | None = None) -> ClientLease:
        """A client with these settings; whoever takes it gives it back.

        Raises:
            ConfigurationError: a variable of the address guard cannot be read.
            AgentError: a certificate or a proxy of the settings cannot be used.
        """
        entry = self._entry(settings)
        entry.users += 1
        if len(self._clients[asyncio.get_running_loop()]) > MAXIMUM_CLIENTS:
            await self._evict()
        return ClientLease(entry.client, entry)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        if self._tokens is not None:
            await self._tokens.close()
        for entry in self._clients.pop(asyncio.get_running_loop(), OrderedDict()).values():
            await entry.client.aclose()

    @property
    def tokens(self) -> TokenCache:
        """Tokens of OAuth 2.0 clients, of every event loop."""
        if self._tokens is None:
            from runtara_agents_http.oauth2 import TokenCache  # what few connections need

            self._tokens = TokenCache()
        return self._tokens

    def _entry(self, settings: TransportSettings | None) -> _Client:
        loop = asyncio.get_running_loop()
        clients = self._clients.get(loop)
        if clients is None:
            clients = self._clients[loop] = OrderedDict()
        key = _DEFAULT_KEY if settings is None else settings.key()
        entry = clients.get(key)
        if entry is None or entry.client.is_closed:
            entry = clients[key] = _Client(self._new_client(settings))
        clients.move_to_end(key)
        return entry

    async def _evict(self) -> None:
        """Let go of the client that was used longest ago when there are too many; its calls end in peace."""
        clients = self._clients[asyncio.get_running_loop()]
        while len(clients) > MAXIMUM_CLIENTS:
            _, entry = clients.popitem(last=False)
            entry.is_evicted = True
            if not entry.users:
                await entry.client.aclose()

    def _new_client(self, settings: TransportSettings | None) -> httpx.AsyncClient:
        load_httpx()

        from runtara_agents_http.network import GuardedBackend, system_resolver
        from runtara_agents_http.transport import CookielessClient, PooledTransport
        from runtara_agents_http.transport_settings import TransportSettings

        if self._guard is None:
            self._guard = AddressGuard.from_environment()
        backend = GuardedBackend(self._guard, self._resolver or system_resolver)
        return CookielessClient(
            transport=PooledTransport(settings or TransportSettings(), backend),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": OFFERED},
            timeout=None,
            follow_redirects=False,
            trust_env=False,
        )
