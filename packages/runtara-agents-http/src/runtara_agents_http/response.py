"""Reading of responses: bounded, decoded as asked, or turned into an error."""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING

from runtara_sdk.agents import AgentError, ErrorCategory, KnownError

from runtara_agents_http.content import read_content, readable_text
from runtara_agents_http.decompression import BrokenBodyError, Decompressor
from runtara_agents_http.models import HttpHeader, HttpRequestInput, HttpResponse
from runtara_agents_http.target import without_credentials

if TYPE_CHECKING:
    import httpx

_ERROR_BODY_BYTES = 64 * 1024
_ERROR_BODY_CHARACTERS = 2_000
_MAXIMUM_RETRY_AFTER_MS = 7 * 86_400_000

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


async def read_response(request: HttpRequestInput, response: httpx.Response) -> HttpResponse:
    """Read an open response to its end.

    Raises:
        AgentError: the status is an error and `fail_on_error` is set, or the body exceeds `max_response_bytes`.
    """
    await refuse_error_status(request, response)
    content = await read_body(request, response)
    body = read_content(content, request.response_type, _media_type(response), response.charset_encoding)
    listed = [HttpHeader(name=name.lower(), value=value) for name, value in response.headers.multi_items()]
    return HttpResponse(
        status_code=response.status_code,
        headers=_joined(listed),
        header_list=listed,
        body=body.value,
        body_kind=body.kind,
        body_intact=body.intact,
        success=is_success(request, response),
    )


def is_success(request: HttpRequestInput, response: httpx.Response) -> bool:
    """Whether the status is one of those that the step takes for a success."""
    return 200 <= response.status_code <= 299


async def refuse_error_status(request: HttpRequestInput, response: httpx.Response) -> None:
    """Raise the error of an open response whose status is one, unless `fail_on_error` is false."""
    if request.fail_on_error and not is_success(request, response):
        content, _ = await _read(request, response, _ERROR_BODY_BYTES)
        raise _status_error(request, response, content)


async def read_body(request: HttpRequestInput, response: httpx.Response) -> bytes:
    """The body of an open response, decompressed.

    Raises:
        AgentError: it exceeds `max_response_bytes`, or is not what its Content-Encoding says.
    """
    content, complete = await _read(request, response, request.max_response_bytes)
    if not complete:
        shown = without_credentials(request.url)
        raise AgentError.permanent(
            "HTTP_RESPONSE_TOO_LARGE",
            f"the response exceeds {request.max_response_bytes} bytes: raise max_response_bytes or ask for less",
            attributes={"url": shown, "max_response_bytes": request.max_response_bytes},
        )
    return content


def _joined(listed: list[HttpHeader]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for header in listed:
        joined[header.name] = f"{joined[header.name]}, {header.value}" if header.name in joined else header.value
    return joined


def _media_type(response: httpx.Response) -> str:
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower()


async def _read(request: HttpRequestInput, response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """At most `limit` bytes, decompressed, and whether this is all."""
    content = bytearray()
    decompressor = Decompressor(response.headers.get("content-encoding", ""))
    try:
        async for chunk in response.aiter_raw():
            for piece in decompressor.feed(chunk):
                content += piece
                if len(content) > limit:
                    return bytes(content[:limit]), False
        decompressor.finish()
    except BrokenBodyError as error:
        shown = without_credentials(request.url)
        raise AgentError.transient(
            "NETWORK_ERROR", f"{shown}: the body cannot be decompressed: {error}", attributes={"url": shown}
        ) from None
    return bytes(content), True


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
        retry_after_ms=(
            _retry_after_ms(response.headers.get("retry-after")) if category is ErrorCategory.TRANSIENT else None
        ),
        attributes={"status_code": status, "url": without_credentials(request.url)},
    )


def _retry_after_ms(value: str | None) -> int | None:
    """Retry-After is seconds or a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal() and len(value) < 12:
        return min(int(value) * 1000, _MAXIMUM_RETRY_AFTER_MS)
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(0, round((moment - time.time()) * 1000)), _MAXIMUM_RETRY_AFTER_MS)
