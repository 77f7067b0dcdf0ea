"""One exchange: a request with its headers, credentials and redirects, one deadline, and structured errors."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_http.authentication import Authentication, authentication_of
from runtara_agents_http.body import RequestBody, StreamedContent, encode_body, invalid_body
from runtara_agents_http.client import ClientLease, HttpClientPool, load_httpx
from runtara_agents_http.credentials import Credentials, credentials_of
from runtara_agents_http.failures import address_refused, network_error, timed_out, transport_error
from runtara_agents_http.headers import request_headers
from runtara_agents_http.models import HttpRequestInput, HttpResponse
from runtara_agents_http.redirects import Trust, parsed_origin, without_query
from runtara_agents_http.response import read_response
from runtara_agents_http.target import invalid_url, password_in, resolve_target, without_credentials
from runtara_agents_http.transport_settings import SettingsByOrigin, settings_of

if TYPE_CHECKING:
    import httpx

__all__ = ["StreamedContent", "exchange", "open_exchange"]

_DRAINED_BYTES = 64 * 1024

Body = RequestBody | StreamedContent


async def exchange(pool: HttpClientPool, request: HttpRequestInput, context: CapabilityContext) -> HttpResponse:
    """Perform the call and read the response.

    Raises:
        AgentError: any failure, as listed in the capability's known errors.
    """
    began = time.perf_counter()
    async with open_exchange(pool, request, context) as response:
        return await read_response(request, response, context, began=began)


@contextlib.asynccontextmanager
async def open_exchange(
    pool: HttpClientPool,
    request: HttpRequestInput,
    context: CapabilityContext,
    *,
    content: StreamedContent | None = None,
) -> AsyncIterator[httpx.Response]:
    """Perform the call up to the head of its last response, whose body the caller reads; it is closed at the end.

    Redirects are followed, credentials applied, and `timeout_ms` holds to the end of the block; before it begins, the
    call waits for the rate that its connection allows. Neither the status nor the size of the body is checked: see
    `response.refuse_error_status` and `response.read_body`.

    Args:
        pool: of the clients.
        request: what to send, and how.
        context: of the call.
        content: a body in place of the one that `request` describes.

    Raises:
        AgentError: any failure, also one of the network while the block reads the body.
    """
    plan = _planned(request, context, content)
    if request.connection is not None and request.connection.rate_limit_config is not None:
        await pool.rate_limits.wait(request.connection, context)
    load_httpx()
    import httpx

    from runtara_agents_http.network import AddressRefusedError

    try:
        async with asyncio.timeout(request.timeout_ms / 1000) as limit:
            try:
                response, lease = await _follow(pool, plan, context)
                try:
                    yield response
                finally:
                    await _closed(response, lease)
            except AddressRefusedError as error:
                raise address_refused(error, plan.shown) from None
            except httpx.TransportError as error:
                raise transport_error(error, plan.shown) from error
            except httpx.RequestError as error:
                raise network_error(error, plan.shown) from error
    except TimeoutError:
        if not limit.expired():
            raise
        raise timed_out(request.timeout_ms, plan.shown) from None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A call whose inputs were checked; nothing was sent yet."""

    request: HttpRequestInput
    shown: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: Body | None
    credentials: Credentials
    settings: SettingsByOrigin


def _planned(request: HttpRequestInput, context: CapabilityContext, content: StreamedContent | None) -> _Plan:
    credentials = _NO_CREDENTIALS
    if request.connection is not None or request.auth is not None:
        credentials = credentials_of(request.connection, request.auth)
        credentials.keep_secret(context)
        for value in request.auth.secrets() if request.auth is not None else ():
            context.secrets.add(value)
    url = resolve_target(request.url, credentials.url_prefix, request.query_parameters)
    body = encode_body(request, context) if content is None else content
    method = _method(request, has_body=body is not None)
    headers = request_headers(
        request.headers,
        method,
        body.content_type if body is not None else None,
        own_key=request.idempotency_key,
        step_key=context.idempotency_key,
    )
    for given in (request.url, request.proxy):
        if given is not None and (word := password_in(given)):
            context.secrets.add(word)
    shown = without_credentials(request.url)
    settings = settings_of(request, credentials, context)
    return _Plan(request, shown, url, method, headers, body, credentials, settings)


_NO_CREDENTIALS = Credentials()


def _method(request: HttpRequestInput, *, has_body: bool) -> str:
    if has_body and "method" not in request.model_fields_set:
        return "POST"
    if has_body and request.method == "HEAD":
        raise invalid_body("a HEAD request has no body")
    return request.method


async def _follow(pool: HttpClientPool, plan: _Plan, context: CapabilityContext) -> tuple[httpx.Response, ClientLease]:
    """The last response, still open, and the client that it came by."""
    import httpx

    request, credentials = plan.request, plan.credentials
    try:
        url = httpx.URL(plan.url)
        step_home = parsed_origin(url)
        base_url = credentials.url_prefix
        connection_home = parsed_origin(httpx.URL(base_url)) if base_url else step_home
        credentials_home = step_home if credentials.of_step else connection_home
        trust = Trust.of(request, step_home)
        authentication = _authentication(pool, plan, context)
        method, headers, body = plan.method, plan.headers, plan.body
        for _ in range(request.max_redirects + 1):
            origin = parsed_origin(url)
            at_connection_home = origin is not None and origin == connection_home
            lease = await pool.lease(plan.settings.home if at_connection_home else plan.settings.elsewhere)
            try:
                outgoing = _built(lease.client, request, method, url, headers, body)
                at_home = origin is not None and origin == credentials_home
                response = await _send(lease.client, outgoing, authentication if at_home else None)
            except BaseException:
                await lease.give_back()
                raise
            try:
                following = response.next_request if request.follow_redirects else None
                if following is None:
                    return response, lease
                await _drain(response)
            except BaseException:
                await _closed(response, lease)
                raise
            await _closed(response, lease)
            body = body if following.method == method else None
            headers = trust.allowed(plan.headers, following, plan.method)
            method, url = following.method, following.url
            if credentials.query and parsed_origin(url) != credentials_home:
                url = httpx.URL(without_query(str(url), credentials.query))
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        raise invalid_url(request.url, str(error)[:200]) from None
    raise AgentError.permanent(
        "HTTP_TOO_MANY_REDIRECTS",
        f"{plan.shown} redirected more than {request.max_redirects} times",
        attributes={"url": plan.shown},
    )


def _authentication(pool: HttpClientPool, plan: _Plan, context: CapabilityContext) -> Authentication | None:
    client, settings = plan.credentials.oauth2, plan.settings.elsewhere

    async def token_of(refused: str | None) -> str:
        from runtara_agents_http.token_request import token_requests  # what few connections need

        assert client is not None  # noqa: S101 - it is what asks for a token
        place = "" if settings is None else settings.key()
        token = await pool.tokens.token(client, place, token_requests(pool, settings), refused=refused)
        context.secrets.add(token)
        return token

    if plan.credentials is _NO_CREDENTIALS:
        return None
    return authentication_of(plan.credentials, {name.lower(): value for name, value in plan.headers.items()}, token_of)


async def _send(
    client: httpx.AsyncClient, outgoing: httpx.Request, authentication: Authentication | None
) -> httpx.Response:
    """The response to a request, or, where that was refused, to its second try."""
    if authentication is None:
        return await _sent(client, outgoing)
    await authentication.prepare(outgoing)
    response = await _sent(client, outgoing)
    if response.status_code != 401:
        return response
    try:
        try_again = await authentication.answer(outgoing, response)
        if not try_again:
            return response
        await _drain(response)
    except BaseException:
        await response.aclose()
        raise
    await response.aclose()
    return await _sent(client, outgoing)


async def _sent(client: httpx.AsyncClient, outgoing: httpx.Request) -> httpx.Response:
    if "authorization" in outgoing.headers:
        import httpx

        return await client.send(outgoing, stream=True, auth=httpx.Auth())  # none; a name in the URL would win
    return await client.send(outgoing, stream=True)


async def _drain(response: httpx.Response) -> None:
    """Read a small body that nobody needs, so that its connection serves the next request."""
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= _DRAINED_BYTES:
        async for _ in response.aiter_raw():
            pass


async def _closed(response: httpx.Response, lease: ClientLease) -> None:
    try:
        await response.aclose()
    finally:
        await lease.give_back()


def _built(
    client: httpx.AsyncClient,
    request: HttpRequestInput,
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    body: Body | None,
) -> httpx.Request:
    import httpx

    raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    names = {name.lower() for name, _ in raw}
    raw = [(name, value) for name, value in client.headers.raw if name.lower() not in names] + raw
    content: bytes | StreamedContent | None = body.content if isinstance(body, RequestBody) else body
    if isinstance(body, StreamedContent) and body.length is not None:
        raw.append((b"Content-Length", str(body.length).encode()))
    outgoing = httpx.Request(method, url, headers=raw, content=content)
    outgoing.headers.encoding = "latin-1"
    if request.connect_timeout_ms is not None or request.read_timeout_ms is not None:
        connect, read = _seconds(request.connect_timeout_ms), _seconds(request.read_timeout_ms)
        outgoing.extensions["timeout"] = httpx.Timeout(connect=connect, read=read, write=read, pool=None).as_dict()
    return outgoing


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
