"""The agent and its one capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtara_sdk.agents import (
    AgentDefinition,
    CapabilityContext,
    EffectClass,
    Example,
    KnownError,
    agent,
    capability,
)
from runtara_sdk.agents.files import FILE_ERRORS, WORKSPACE_ERRORS

from runtara_agents_http.address_guard import AddressGuard
from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.connection_types import CONNECTION_TYPES
from runtara_agents_http.exchange import exchange
from runtara_agents_http.failures import NETWORK_ERRORS, OAUTH2_ERRORS
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.response import STATUS_ERRORS

if TYPE_CHECKING:
    from runtara_agents_http.network import Resolver

HTTP_ERRORS = (
    *STATUS_ERRORS,
    *NETWORK_ERRORS,
    *OAUTH2_ERRORS,
    *{(error.code, error.kind): error for error in (*FILE_ERRORS, *WORKSPACE_ERRORS)}.values(),
    KnownError.permanent("HTTP_INVALID_URL", "The URL cannot be requested.", "url"),
    KnownError.permanent("HTTP_INVALID_HEADER", "A header cannot be sent."),
    KnownError.permanent("HTTP_INVALID_BODY", "Body, parts and body type do not fit together."),
    KnownError.permanent("HTTP_INVALID_AUTH", "`auth` lacks a value that neither it nor the connection has."),
    KnownError.permanent("HTTP_DIGEST_UNSUPPORTED", "The server's Digest challenge cannot be answered."),
    KnownError.permanent("HTTP_INVALID_JSON", "The body is no JSON, and strict_json is set.", "url"),
    KnownError.permanent("HTTP_TOO_MANY_REDIRECTS", "More redirects than max_redirects.", "url"),
    KnownError.permanent(
        "HTTP_RESPONSE_TOO_LARGE", "The body exceeds max_response_bytes.", "url", "max_response_bytes"
    ),
    KnownError.permanent("CONFIGURATION_ERROR", "A variable of the address guard cannot be read."),
)
"""What every capability that makes requests may raise."""


_EXAMPLES = (
    Example({"url": "https://api.example.com/orders", "query_parameters": {"state": "open"}}, needs="an HTTP service"),
    Example(
        {"url": "https://api.example.com/orders", "body": {"sku": 7}, "success_codes": ["2xx", 409]},
        needs="an HTTP service",
    ),
    Example(
        {"url": "https://files.example.com/report.pdf", "response_type": "file", "save_to": "in/report.pdf"},
        needs="an HTTP service",
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

    def __init__(self, *, guard: AddressGuard | None = None, resolver: Resolver | None = None) -> None:
        """Addresses are judged by `guard` (the environment's) and found by `resolver` (the system's)."""
        self._pool = HttpClientPool("runtara-agents-http", guard=guard, resolver=resolver)

    @capability(
        id="http-request",
        aliases=("request",),
        display_name="HTTP Request",
        description="Performs one HTTP call and returns status, headers and body.",
        side_effects=True,
        idempotent=False,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.KEYED,
        known_errors=HTTP_ERRORS,
        examples=_EXAMPLES,
    )
    async def http_request(self, inputs: HttpRequestInput, context: CapabilityContext) -> HttpResponse:
        """Perform the call."""
        return await exchange(self._pool, inputs, context)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._pool.close()


http_agent = AgentDefinition.of(HttpAgent())
