"""The agent and its six capabilities."""

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
from runtara_agents_http.download import (
    CHECKSUM_MISMATCH,
    INCOMPLETE,
    HttpDownloadInput,
    HttpDownloadOutput,
    download,
)
from runtara_agents_http.exchange import exchange
from runtara_agents_http.failures import NETWORK_ERRORS, OAUTH2_ERRORS
from runtara_agents_http.graphql import (
    GRAPHQL_ERROR,
    GRAPHQL_INVALID,
    HttpGraphqlInput,
    HttpGraphqlOutput,
    graphql,
)
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.paginate import (
    ITEMS_INVALID,
    LOOP,
    OPTION_INVALID,
    TOO_LARGE,
    HttpPaginateInput,
    HttpPaginateOutput,
    paginate,
)
from runtara_agents_http.paths import PATH_INVALID
from runtara_agents_http.poll import POLL_FAILED, POLL_TIMEOUT, HttpPollInput, HttpPollOutput, poll
from runtara_agents_http.response import STATUS_ERRORS
from runtara_agents_http.upload import HttpUploadInput, HttpUploadOutput, upload

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

    @capability(
        id="http-paginate",
        aliases=("paginate",),
        display_name="HTTP Paginate",
        description="Reads all pages of a listing: by Link header, next link, cursor, page or offset.",
        side_effects=True,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.KEYED,
        known_errors=(
            *HTTP_ERRORS,
            KnownError.permanent(ITEMS_INVALID, "There is no array of items where it should be.", "url", "path"),
            KnownError.permanent(LOOP, "A page leads back to one that was read.", "next"),
            KnownError.permanent(TOO_LARGE, "The items are too large for the data of a workflow.", "max_items_bytes"),
            KnownError.permanent(PATH_INVALID, "A path does not lead through the body.", "path"),
            KnownError.permanent(OPTION_INVALID, "Two options do not go together."),
        ),
        examples=[
            Example(
                {
                    "url": "https://api.example.com/orders",
                    "mode": "cursor",
                    "next_path": "meta.next",
                    "items_path": "data",
                },
                needs="an HTTP service",
            )
        ],
    )
    async def http_paginate(self, inputs: HttpPaginateInput, context: CapabilityContext) -> HttpPaginateOutput:
        """Read all pages."""
        return await paginate(self._pool, inputs, context)

    @capability(
        id="http-download",
        aliases=("download",),
        display_name="HTTP Download",
        description="Downloads a file of any size into the workspace, and goes on after a crash.",
        side_effects=True,
        idempotent=True,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.IDEMPOTENT,
        known_errors=(
            *HTTP_ERRORS,
            KnownError.permanent(CHECKSUM_MISMATCH, "The file has another SHA-256 than expected.", "url"),
            KnownError.transient(INCOMPLETE, "The connection ended before the file did.", "url"),
        ),
        examples=[Example({"url": "https://files.example.com/a.iso", "save_to": "in/a.iso"}, needs="an HTTP service")],
    )
    async def http_download(self, inputs: HttpDownloadInput, context: CapabilityContext) -> HttpDownloadOutput:
        """Download it."""
        return await download(self._pool, inputs, context)

    @capability(
        id="http-upload",
        aliases=("upload",),
        display_name="HTTP Upload",
        description="Uploads a file of any size, as a body or as a part of a form.",
        side_effects=True,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.KEYED,
        known_errors=(*HTTP_ERRORS, KnownError.permanent(OPTION_INVALID, "Two options do not go together.")),
        examples=[
            Example(
                {"url": "https://files.example.com/a.csv", "file": {"$file": "out/a.csv"}},
                needs="an HTTP service",
                files={"out/a.csv": "id\n1\n"},
            )
        ],
    )
    async def http_upload(self, inputs: HttpUploadInput, context: CapabilityContext) -> HttpUploadOutput:
        """Upload it."""
        return await upload(self._pool, inputs, context)

    @capability(
        id="http-poll",
        aliases=("poll",),
        display_name="HTTP Poll",
        description="Repeats a request, with durable waits, until its answer is what is waited for.",
        side_effects=True,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.KEYED,
        known_errors=(
            *HTTP_ERRORS,
            KnownError.permanent(POLL_TIMEOUT, "It did not come in time.", "wait_ms"),
            KnownError.permanent(POLL_FAILED, "`fail_when` holds.", "url", "status_code"),
            KnownError.permanent("CONDITION_INVALID", "`until` or `fail_when` is no condition.", "place"),
            KnownError.permanent(OPTION_INVALID, "Nothing says what is waited for."),
        ),
        examples=[Example({"url": "https://api.example.com/jobs/7", "until_status": [200]}, needs="an HTTP service")],
    )
    async def http_poll(self, inputs: HttpPollInput, context: CapabilityContext) -> HttpPollOutput:
        """Wait for the answer."""
        return await poll(self._pool, inputs, context)

    @capability(
        id="http-graphql",
        aliases=("graphql",),
        display_name="HTTP GraphQL",
        description="Performs a GraphQL query or mutation; its errors are errors.",
        side_effects=True,
        deterministic=False,
        rate_limited=True,
        effect=EffectClass.KEYED,
        known_errors=(
            *HTTP_ERRORS,
            KnownError.permanent(GRAPHQL_ERROR, "The service tells of errors.", "url", "codes", "count"),
            KnownError.transient(GRAPHQL_ERROR, "It tells of errors that may pass, by their codes.", "url", "codes"),
            KnownError.permanent(GRAPHQL_INVALID, "The answer is none of GraphQL.", "url", "status_code"),
        ),
        examples=[
            Example({"url": "https://api.example.com/graphql", "query": "{ orders { id } }"}, needs="a GraphQL service")
        ],
    )
    async def http_graphql(self, inputs: HttpGraphqlInput, context: CapabilityContext) -> HttpGraphqlOutput:
        """Perform the operation."""
        return await graphql(self._pool, inputs, context)

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._pool.close()


http_agent = AgentDefinition.of(HttpAgent())
