"""The client of the connection service: one request, a deadline, a bound, and errors that tell what to do."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

from runtara_sdk.workflow.connections import (
    DEFAULT_RETRY_AFTER_SECONDS,
    ConnectionRequest,
    checked_answer,
    connection_failure,
)
from runtara_sdk.workflow.failures import PERMANENT, TRANSIENT, StepFailedError
from runtara_sdk.written_decimal import read_decimal

TIMEOUT_SECONDS = 30.0
MAXIMUM_BYTES = 1 << 20


async def fetch_connection(request: ConnectionRequest) -> dict[str, Any]:
    """The answer of the service; raises `StepFailedError`, whose text names the connection and no secret."""
    return await asyncio.to_thread(_fetch, request)


def _fetch(request: ConnectionRequest) -> dict[str, Any]:
    headers = {"Accept": "application/json"}
    if request.token:
        headers["Authorization"] = f"Bearer {request.token}"
    asked = urllib.request.Request(request.url(), headers=headers)  # noqa: S310 - http and https alone
    try:
        with _OPENER.open(asked, timeout=TIMEOUT_SECONDS) as response:
            body = response.read(MAXIMUM_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(request, error.code, error.headers.get("Retry-After")) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        text = f"the connection service cannot be reached: {reason}"
        raise connection_failure(request, "CONNECTION_UNAVAILABLE", text, TRANSIENT) from None
    if len(body) > MAXIMUM_BYTES:
        text = f"the connection service answered with more than {MAXIMUM_BYTES} bytes"
        raise connection_failure(request, "CONNECTION_INVALID", text, PERMANENT)
    try:
        answer = json.loads(body, parse_float=read_decimal)
    except ValueError:
        raise connection_failure(
            request, "CONNECTION_INVALID", "the connection service answered no JSON", PERMANENT
        ) from None
    return checked_answer(request, answer)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could carry the token elsewhere: it is an answer like any other that is not 200."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))


def _refusal(request: ConnectionRequest, status: int, retry_after: str | None) -> StepFailedError:
    if status == 404:
        return connection_failure(request, "CONNECTION_NOT_FOUND", "there is no such connection", PERMANENT)
    if status == 429:
        seconds = int(retry_after) if retry_after and retry_after.isdigit() else DEFAULT_RETRY_AFTER_SECONDS
        text = "the connection service asks to wait"
        return connection_failure(request, "CONNECTION_RATE_LIMITED", text, TRANSIENT, retryAfterMs=seconds * 1000)
    category = TRANSIENT if status >= 500 else PERMANENT
    code = "CONNECTION_UNAVAILABLE" if status >= 500 else "CONNECTION_REFUSED"
    return connection_failure(request, code, f"the connection service answered with status {status}", category)
