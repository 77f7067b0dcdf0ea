"""The headers of a request, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from runtara_sdk.agents import AgentError

CHANGING_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
IDEMPOTENCY_KEY = "Idempotency-Key"

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


def request_headers(
    given: Mapping[str, str],
    method: str,
    content_type: str | None,
    *,
    own_key: str | None,
    step_key: str | None,
) -> dict[str, str]:
    """The headers of a step, with those that the agent adds.

    Args:
        given: of the step.
        method: of the request.
        content_type: of its body; None without one.
        own_key: idempotency key that the step names, in place of any other.
        step_key: idempotency key that the run time made, for methods that change something.

    Raises:
        AgentError: permanent HTTP_INVALID_HEADER.
    """
    headers = dict(given)
    names = {name.lower() for name in headers}
    if len(names) < len(headers):
        raise invalid_header("two headers differ only in the case of their names")
    if names & _FRAMING_HEADERS:
        raise invalid_header(f"{min(names & _FRAMING_HEADERS)} is set by the agent itself; leave it out")
    if content_type is not None and "content-type" not in names:
        headers["Content-Type"] = content_type
    if own_key is not None:
        headers = {name: value for name, value in headers.items() if name.lower() != IDEMPOTENCY_KEY.lower()}
        headers[IDEMPOTENCY_KEY] = own_key
    elif step_key and method in CHANGING_METHODS and IDEMPOTENCY_KEY.lower() not in names:
        headers[IDEMPOTENCY_KEY] = step_key
    for name, value in headers.items():
        check_header(name, value)
    return headers


def check_header(name: str, value: str) -> None:
    """Raise the permanent error HTTP_INVALID_HEADER for a header that cannot be sent; its value is not shown."""
    if not _HEADER_NAME.fullmatch(name):
        raise invalid_header(f"{name[:100]!r} is not a header name")
    if not _HEADER_VALUE.fullmatch(value):
        raise invalid_header(f"the value of header {name[:100]} holds control characters or is not Latin-1")


def invalid_header(reason: str) -> AgentError:
    """The error for a header that cannot be sent."""
    return AgentError.permanent("HTTP_INVALID_HEADER", reason)
