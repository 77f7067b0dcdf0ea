"""Reading of responses: bounded, decoded as asked, or turned into an error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from runtara_sdk.agents import AgentError, CapabilityContext, ErrorCategory, KnownError
from runtara_sdk.agents.files import FileReference

from runtara_agents_http.content import Content, is_json_type, read_content, readable_text
from runtara_agents_http.decompression import BrokenBodyError, Decompressor
from runtara_agents_http.models import HttpHeader, HttpRequestInput, HttpResponse
from runtara_agents_http.retry_after import retry_after_ms
from runtara_agents_http.target import without_credentials

if TYPE_CHECKING:
    import httpx

_ERROR_BODY_BYTES = 64 * 1024
_ERROR_BODY_CHARACTERS = 2_000
_WRITE_BYTES = 1024 * 1024

_CODES = {
    400: "HTTP_BAD_REQUEST",
    401: "HTTP_UNAUTHORIZED",
    403: "HTTP_FORBIDDEN",
    404: "HTTP_NOT_FOUND",
    408: "HTTP_TIMEOUT",
    429: "HTTP_RATE_LIMITED",
    500: "HTTP_INTERNAL_ERROR",
    502: "HTTP_BAD_GATEWAY",
    503: "HTTP_SERVICE_UNAVAILABLE",
    504: "HTTP_GATEWAY_TIMEOUT",
}


def _category(status: int) -> ErrorCategory:
    transient = status in {408, 429} or 500 <= status <= 599
    return ErrorCategory.TRANSIENT if transient else ErrorCategory.PERMANENT


STATUS_ERRORS = (
    *(
        KnownError(code, f"The server answered {status}.", _category(status), ("status_code", "url"))
        for status, code in _CODES.items()
    ),
    KnownError.transient("HTTP_ERROR", "The server answered another 5xx status.", "status_code", "url"),
    KnownError.permanent("HTTP_ERROR", "The server answered another status outside 200-299.", "status_code", "url"),
)


async def read_response(
    request: HttpRequestInput, response: httpx.Response, context: CapabilityContext, *, began: float
) -> HttpResponse:
    """Read an open response to its end.

    Args:
        request: says how.
        response: its body is not read yet.
        context: of the call.
        began: when the exchange did, by `time.perf_counter`.

    Raises:
        AgentError: the status is an error and `fail_on_error` is set, the body exceeds `max_response_bytes` or is no
            JSON where that is asked for strictly, or the workspace cannot take it.
    """
    await refuse_error_status(request, response)
    body: Any
    if request.response_type == "file":
        body, kind, intact = await _store_body(request, response, context), "file", True
    else:
        content = read_content(
            await read_body(request, response),
            request.response_type,
            media_type_of(response),
            response.charset_encoding,
        )
        if request.strict_json:
            _check_json(request, response, content)
        body, kind, intact = content.value, content.kind, content.intact
    listed = [HttpHeader(name=name.lower(), value=value) for name, value in response.headers.multi_items()]
    return HttpResponse.model_construct(
        status_code=response.status_code,
        headers=_joined(listed),
        header_list=listed,
        body=body,
        body_kind=kind,
        body_intact=intact,
        success=request.is_success(response.status_code),
        url=without_credentials(str(response.url)),
        elapsed_ms=round((time.perf_counter() - began) * 1000),
    )


async def refuse_error_status(request: HttpRequestInput, response: httpx.Response) -> None:
    """Raise the error of an open response whose status is one, unless `fail_on_error` is false."""
    if request.fail_on_error and not request.is_success(response.status_code):
        content, _ = await _read(request, response, _ERROR_BODY_BYTES)
        raise _status_error(request, response, content)


async def read_body(request: HttpRequestInput, response: httpx.Response) -> bytes:
    """The body of an open response, decompressed.

    Raises:
        AgentError: it exceeds `max_response_bytes`, or is not what its Content-Encoding says.
    """
    content, complete = await _read(request, response, request.response_limit_bytes)
    if not complete:
        raise too_large(request)
    return content


async def decompressed_pieces(request: HttpRequestInput, response: httpx.Response) -> AsyncIterator[bytes]:
    """The body of an open response in pieces as they arrive, decompressed; unbounded.

    Raises:
        AgentError: transient NETWORK_ERROR when the body is not what its Content-Encoding says.
    """
    decompressor = Decompressor(response.headers.get("content-encoding", ""))
    try:
        async for chunk in response.aiter_raw():
            for piece in decompressor.feed(chunk):
                yield piece
        decompressor.finish()
    except BrokenBodyError as error:
        shown = without_credentials(request.url)
        raise AgentError.transient(
            "NETWORK_ERROR", f"{shown}: the body cannot be decompressed: {error}", attributes={"url": shown}
        ) from None


def too_large(request: HttpRequestInput) -> AgentError:
    """The error of a response that exceeds its bound."""
    limit = request.response_limit_bytes
    shown = without_credentials(request.url)
    return AgentError.permanent(
        "HTTP_RESPONSE_TOO_LARGE",
        f"the response exceeds {limit} bytes: raise max_response_bytes or ask for less",
        attributes={"url": shown, "max_response_bytes": limit},
    )


def media_type_of(response: httpx.Response) -> str:
    """Of the Content-Type header, in lower case without parameters; empty when there is none."""
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()


def _joined(listed: list[HttpHeader]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for header in listed:
        joined[header.name] = f"{joined[header.name]}, {header.value}" if header.name in joined else header.value
    return joined


async def _read(request: HttpRequestInput, response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes, decompressed, and whether this is all."""
    content = bytearray()
    async for piece in decompressed_pieces(request, response):
        content += piece
        if len(content) > limit:
            return bytes(content[:limit]), False
    return bytes(content), True


async def _store_body(request: HttpRequestInput, response: httpx.Response, context: CapabilityContext) -> Any:
    """Write the body to the workspace; the JSON of the reference to the file."""
    workspace = context.require_workspace()
    media_type = media_type_of(response) or None
    with workspace.create(request.save_to or "") as file:
        waiting = bytearray()
        async for piece in decompressed_pieces(request, response):
            waiting += piece
            if file.size + len(waiting) > request.response_limit_bytes:
                raise too_large(request)
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
        stored = await asyncio.to_thread(file.commit)
    return FileReference.of(stored, mime_type=media_type).model_dump(by_alias=True, exclude_none=True)


def _check_json(request: HttpRequestInput, response: httpx.Response, content: Content) -> None:
    if request.response_type not in ("json", "auto") or (content.kind == "json" and content.intact):
        return
    if request.response_type == "auto" and not is_json_type(media_type_of(response)):
        return
    if content.kind == "none" and (response.status_code in (204, 205, 304) or response.request.method == "HEAD"):
        return
    shown = without_credentials(request.url)
    raise AgentError.permanent(
        "HTTP_INVALID_JSON",
        f"{shown}: the body is no JSON: give strict_json false to take it as a text",
        attributes={"url": shown},
    )


def _status_error(request: HttpRequestInput, response: httpx.Response, content: bytes) -> AgentError:
    status = response.status_code
    category = _category(status)
    text = readable_text(content, response.charset_encoding).strip()
    if len(text) > _ERROR_BODY_CHARACTERS:
        text = text[:_ERROR_BODY_CHARACTERS] + "..."
    return AgentError(
        _CODES.get(status, "HTTP_ERROR"),
        f"HTTP {status}: {text}" if text else f"HTTP {status}",
        category=category,
        retry_after_ms=retry_after_ms(response.headers) if category is ErrorCategory.TRANSIENT else None,
        attributes={"status_code": status, "url": without_credentials(request.url)},
    )
