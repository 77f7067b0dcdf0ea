"""The agent and its one capability."""

from __future__ import annotations

from runtara_sdk.agents import (
    AgentDefinition,
    CapabilityContext,
    EffectClass,
    KnownError,
    agent,
    capability,
)

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.credentials import CONNECTION_TYPES
from runtara_agents_http.exchange import exchange
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.response import STATUS_ERRORS

_KNOWN_ERRORS = (
    *STATUS_ERRORS,
    KnownError.transient("NETWORK_ERROR", "The server cannot be reached or the connection broke.", "url"),
    KnownError.transient("TIMEOUT", "The exchange did not end within timeout_ms.", "url"),
    KnownError.permanent("HTTP_TLS_ERROR", "The server's certificate is not trusted.", "url"),
    KnownError.permanent("HTTP_INVALID_URL", "The URL cannot be requested.", "url"),
    KnownError.permanent("HTTP_INVALID_HEADER", "A header cannot be sent."),
    KnownError.permanent("HTTP_INVALID_BODY", "Body, parts and body type do not fit together."),
    KnownError.permanent("HTTP_TOO_MANY_REDIRECTS", "More than 10 redirects.", "url"),
    KnownError.permanent(
        "HTTP_RESPONSE_TOO_LARGE", "The body exceeds max_response_bytes.", "url", "max_response_bytes"
    ),
)


@agent(
    id="http",
    name="HTTP",
    description="Calls HTTP services.",
    category="api",
    connection_types=CONNECTION_TYPES,
    secure=True,
)
class HttpAgent:
    """Calls HTTP services over one pool of connections."""

    def __init__(self) -> None:
        self._pool = HttpClientPool("runtara-agents-http")

    @capability(
        id="http-request",
        aliases=("request",),
        display_name="HTTP Request",
        description="Performs one HTTP call and returns status, headers and body.",
        side_effects=True,
        idempotent=False,
        deterministic=False,
        effect=EffectClass.KEYED,
        known_errors=_KNOWN_ERRORS,
    )
    async def http_request(self, inputs: HttpRequestInput, context: CapabilityContext) -> HttpResponse:
        """Perform the call."""
        return await exchange(self._pool, inputs, context)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._pool.close()


http_agent = AgentDefinition.of(HttpAgent())
