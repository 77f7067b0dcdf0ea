"""One exchange: the request with its headers, redirects, one deadline, and failures as structured errors."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_http.body import RequestBody, encode_body, invalid_body
from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.credentials import Credentials, credentials_of
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.redirects import MAXIMUM_REDIRECTS, Trust
from runtara_agents_http.response import read_response
from runtara_agents_http.target import Origin, Target, invalid_url, origin_of, resolve_target, without_credentials

if TYPE_CHECKING:
    import httpx

_CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class StreamedContent:
    """A body that is sent piece by piece, instead of the one that the inputs describe.

    Attributes:
        chunks: begins the body anew at each call: a redirect or a refused credential may need it a second time.
        length: bytes in all; None sends it in chunks of unknown number, which some servers refuse.
        content_type: for the Content-Type header unless the step sets one.
    """

    chunks: Callable[[], AsyncIterator[bytes]]
    length: int | None
    content_type: str = "application/octet-stream"


async def exchange(pool: HttpClientPool, request: HttpRequestInput, context: CapabilityContext) -> HttpResponse:
    """Perform the call and read the response.

    Raises:
        AgentError: any failure, as listed in the capability's known errors.
    """
    async with open_exchange(pool, request, context) as response:
        return await read_response(request, response)


@contextlib.asynccontextmanager
async def open_exchange(
    pool: HttpClientPool,
    request: HttpRequestInput,
    context: CapabilityContext,
    *,
    content: StreamedContent | None = None,
) -> AsyncIterator[httpx.Response]:
    """Perform the call up to the head of its last response, whose body the caller reads; it is closed at the end.

    Redirects are followed, credentials applied, and `timeout_ms` holds to the end of the block. Neither the status nor
    the size of the body is checked: see `response.refuse_error_status` and `response.read_body`.

    Raises:
        AgentError: any failure, also one of the network while the block reads the body.
    """
    credentials = Credentials({}) if request.connection is None else credentials_of(request.connection)
    target = resolve_target(
        request.url,
        credentials.url_prefix,
        request.query_parameters,
        has_credentials=bool(credentials.headers),
    )
    body = encode_body(request) if content is None else content
    method = _method(request, has_body=body is not None)
    headers = _headers(request.headers, method, body, context)
    shown = without_credentials(request.url)
    try:
        async with asyncio.timeout(request.timeout_ms / 1000) as limit:
            client = pool.client()  # which imports httpx in a way of its own

            import httpx

            try:
                response = await _follow(client, request, method, target, headers, body, credentials)
                try:
                    yield response
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                raise _transport_error(error, shown) from error
            except httpx.RequestError as error:
                raise _network_error(error, shown) from error
    except TimeoutError:
        if not limit.expired():
            raise
        raise AgentError.transient(
            "TIMEOUT", f"{shown} did not answer within {request.timeout_ms} ms", attributes={"url": shown}
        ) from None


async def _follow(
    client: httpx.AsyncClient,
    request: HttpRequestInput,
    method: str,
    target: Target,
    headers: Mapping[str, str],
    body: RequestBody | StreamedContent | None,
    credentials: Credentials,
) -> httpx.Response:
    import httpx

    shown = without_credentials(request.url)
    try:
        # Both sides of the comparison of origins come from the parser that sends the request.
        trusted = _origin(httpx.URL(target.trusted_url)) if target.trusted_url is not None else None
        outgoing = _built(client, method, target.url, headers, body)
        trust = Trust.of(request, _origin(outgoing.url))
        for _ in range(MAXIMUM_REDIRECTS + 1):
            _apply_credentials(outgoing, credentials, trusted, stepwise=headers)
            response = await client.send(outgoing, stream=True)
            try:
                following = response.next_request
            except BaseException:
                await response.aclose()
                raise
            if following is None:
                return response
            await response.aclose()
            body = body if following.method == method else None
            outgoing = _built(client, following.method, following.url, trust.allowed(headers, following, method), body)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise invalid_url(request.url, str(error)[:200]) from None
    raise AgentError.permanent(
        "HTTP_TOO_MANY_REDIRECTS",
        f"{shown} redirected more than {MAXIMUM_REDIRECTS} times",
        attributes={"url": shown},
    )


def _built(
    client: httpx.AsyncClient,
    method: str,
    url: str | httpx.URL,
    headers: Mapping[str, str],
    body: RequestBody | StreamedContent | None,
) -> httpx.Request:
    if not isinstance(body, StreamedContent):
        return client.build_request(method, url, headers=dict(headers), content=body.content if body else None)
    framing = {} if body.length is None else {"Content-Length": str(body.length)}
    return client.build_request(method, url, headers={**headers, **framing}, content=body.chunks())


def _method(request: HttpRequestInput, *, has_body: bool) -> str:
    if has_body and "method" not in request.model_fields_set:
        return "POST"
    if has_body and request.method == "HEAD":
        raise invalid_body("a HEAD request has no body")
    return request.method


def _headers(
    given: Mapping[str, str],
    method: str,
    body: RequestBody | StreamedContent | None,
    context: CapabilityContext,
) -> dict[str, str]:
    headers = dict(given)
    names = {name.lower() for name in headers}
    if len(names) < len(headers):
        raise _invalid_header("two headers differ only in the case of their names")
    if names & _FRAMING_HEADERS:
        raise _invalid_header(f"{min(names & _FRAMING_HEADERS)} is set by the agent itself; leave it out")
    if body is not None and "content-type" not in names:
        headers["Content-Type"] = body.content_type
    if context.idempotency_key and method in _CHANGING_METHODS and "idempotency-key" not in names:
        headers["Idempotency-Key"] = context.idempotency_key
    for name, value in headers.items():
        _check_header(name, value)
    return headers


def _apply_credentials(
    outgoing: httpx.Request, credentials: Credentials, trusted: Origin | None, *, stepwise: Mapping[str, str]
) -> None:
    """Add the connection's headers at its own origin, take them away at any other; the step's own headers win."""
    own = {name.lower() for name in stepwise}
    at_home = trusted is not None and _origin(outgoing.url) == trusted
    for name, value in credentials.headers.items():
        if name.lower() in own:
            continue
        if at_home:
            _check_header(name, value)
            outgoing.headers[name] = value
        else:
            outgoing.headers.pop(name, None)


def _origin(url: httpx.URL) -> Origin | None:
    try:
        return origin_of(str(url))
    except ValueError:  # a redirect to something else than HTTP, refused when it is sent
        return None


def _check_header(name: str, value: str) -> None:
    if not _HEADER_NAME.fullmatch(name):
        raise _invalid_header(f"{name[:100]!r} is not a header name")
    if not _HEADER_VALUE.fullmatch(value):
        raise _invalid_header(f"the value of header {name[:100]} holds control characters or is not Latin-1")


def _invalid_header(reason: str) -> AgentError:
    return AgentError.permanent("HTTP_INVALID_HEADER", reason)


def _transport_error(error: httpx.TransportError, shown: str) -> AgentError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message
            return AgentError.permanent(
                "HTTP_TLS_ERROR",
                f"{shown}: the certificate is not trusted: {reason}; SSL_CERT_FILE names a private authority",
                attributes={"url": shown},
            )
        cause = cause.__cause__ or cause.__context__
    return _network_error(error, shown)


def _network_error(error: httpx.RequestError, shown: str) -> AgentError:
    reason = str(error).partition("\n")[0][:200] or type(error).__name__
    return AgentError.transient("NETWORK_ERROR", f"{shown}: {reason}", attributes={"url": shown})
