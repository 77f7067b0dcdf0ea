"""Connections: fetched from the product's connection service when a step needs one, and never recorded.

    GET {base}/{tenant}/{connection}?tag=...&stepId=...&scenarioId=...&instanceId=...
    200  {"parameters": {...}, "integration_id": "http_bearer", "connection_subtype"?, "rate_limit"?}

The base is CONNECTION_SERVICE_URL, else the URL that was given when the scenario was compiled. A request carries the
token of the instance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from runtara_sdk.workflow.failures import PERMANENT, StepFailedError

VARIABLE = "CONNECTION_SERVICE_URL"
DEFAULT_RETRY_AFTER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ConnectionRequest:
    """What is asked for.

    Attributes:
        base_url: of the service that the scenario was compiled with, if any.
        tag: what needs the connection: `agent_capability`, or a kind of connection.
        token: of the instance; None where it has none.
    """

    base_url: str | None
    tenant_id: str
    connection_id: str
    tag: str
    step_id: str
    scenario_id: str
    instance_id: str
    token: str | None = None

    def url(self) -> str:
        """The address; raises `StepFailedError` when there is no service to ask."""
        base = os.environ.get(VARIABLE) or self.base_url
        if not base:
            raise connection_failure(
                self, "CONNECTION_SERVICE_MISSING", f"there is no connection service to ask: set {VARIABLE}", PERMANENT
            )
        if not base.lower().startswith(("http://", "https://")):
            raise connection_failure(
                self, "CONNECTION_SERVICE_MISSING", f"{VARIABLE} is no http or https URL", PERMANENT
            )
        query = {
            "tag": self.tag,
            "stepId": self.step_id,
            "scenarioId": self.scenario_id,
            "instanceId": self.instance_id,
        }
        place = "/".join(quote(part, safe="") for part in (self.tenant_id, self.connection_id))
        return f"{base.rstrip('/')}/{place}?{urlencode(query)}"


def rate_limit_wait_ms(answer: Mapping[str, Any], now_ms: int) -> int | None:
    """How long to wait before the connection may be used, as its answer says; None: not at all."""
    limit = answer.get("rate_limit")
    if not isinstance(limit, Mapping) or limit.get("is_limited") is not True:
        return None
    after_ms, reset_at = _count(limit.get("retry_after_ms")), _count(limit.get("reset_at"))
    if after_ms is not None:
        return int(after_ms)
    if reset_at is not None and reset_at * 1000 > now_ms:
        return int(reset_at * 1000) - now_ms
    return DEFAULT_RETRY_AFTER_SECONDS * 1000


def credentials_refused(code: str) -> bool:
    """Whether a code says that the other side did not accept the credentials (`HTTP_UNAUTHORIZED`, for example)."""
    return code.endswith(("_UNAUTHORIZED", "_INVALID_CREDENTIALS", "_AUTH_FAILED"))


def as_input(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a capability gets as `_connection`, and a Connection step as outputs."""
    return {
        "parameters": answer["parameters"],
        "integration_id": answer["integration_id"],
        "connection_subtype": answer.get("connection_subtype"),
        "rate_limit_config": answer.get("rate_limit_config"),
    }


def checked_answer(request: ConnectionRequest, answer: Any) -> dict[str, Any]:
    """An answer with what every connection has; raises `StepFailedError`."""
    is_whole = (
        isinstance(answer, dict)
        and isinstance(answer.get("parameters"), dict)
        and isinstance(answer.get("integration_id"), str)
    )
    if not is_whole:
        text = "the connection service answered without 'parameters' and 'integration_id'"
        raise connection_failure(request, "CONNECTION_INVALID", text, PERMANENT)
    return dict(answer)


def connection_failure(
    request: ConnectionRequest, code: str, text: str, category: str, **details: Any
) -> StepFailedError:
    """A failure that names the connection."""
    return StepFailedError(code, f"connection {request.connection_id!r}: {text}", category=category, **details)


def _count(value: Any) -> int | float | None:
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count else None
