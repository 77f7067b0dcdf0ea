"""`http-graphql`: a query or mutation, whose errors are errors."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, Field
from runtara_sdk.agents import AgentError, CapabilityContext

from runtara_agents_http.client import HttpClientPool
from runtara_agents_http.exchange import exchange
from runtara_agents_http.models import HttpRequestInput
from runtara_agents_http.target import without_credentials

GRAPHQL_ERROR = "HTTP_GRAPHQL_ERROR"
GRAPHQL_INVALID = "HTTP_GRAPHQL_INVALID"

_TRANSIENT = re.compile(r"timeout|throttl|rate.?limit|too.?many|unavailable|try.?again|internal_server", re.IGNORECASE)
_MOST_TOLD = 5


class HttpGraphqlInput(HttpRequestInput):
    """An operation."""

    query: str = Field(
        title="Query",
        min_length=1,
        description="GraphQL text.",
        examples=["query($id: ID!) { order(id: $id) { total } }"],
    )
    variables: dict[str, Any] = Field(default_factory=dict, title="Variables", description="By name.")
    operation_name: str | None = Field(default=None, description="Which operation, where the text has several.")
    partial: Literal["error", "allow"] = Field(
        default="error", description="Whether data beside errors is a result (`allow`) or an error."
    )


class HttpGraphqlOutput(BaseModel):
    """What the service answered."""

    data: Any = Field(description="Null where nothing came.")
    errors: list[Any] = Field(description="As the service tells them, with `partial` `allow`.")
    extensions: dict[str, Any] = Field(description="What the service adds.")


async def graphql(pool: HttpClientPool, inputs: HttpGraphqlInput, context: CapabilityContext) -> HttpGraphqlOutput:
    """Perform the operation.

    Raises:
        AgentError: the call fails, or the answer tells of errors.
    """
    document: dict[str, Any] = {"query": inputs.query}
    if inputs.variables:
        document["variables"] = inputs.variables
    if inputs.operation_name is not None:
        document["operationName"] = inputs.operation_name
    headers = dict(inputs.headers)
    if not any(name.lower() == "accept" for name in headers):
        headers["Accept"] = "application/graphql-response+json, application/json"
    # Services answer errors of an operation with 200, newer ones with 4xx: the body tells more than the status.
    request = inputs.model_copy(
        update={"method": "POST", "body": document, "body_type": "json", "headers": headers, "response_type": "auto"}
    )
    request.model_fields_set.add("method")
    if inputs.fail_on_error:
        request = request.model_copy(update={"success_codes": inputs.success_codes or ["2xx", 400, 422]})
    response = await exchange(pool, request, context)
    shown = without_credentials(response.url)
    answer = response.body
    if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
        raise AgentError.permanent(
            GRAPHQL_INVALID,
            f"{shown}: HTTP {response.status_code} without `data` and `errors` is no answer of GraphQL",
            attributes={"url": shown, "status_code": response.status_code},
        )
    errors = answer.get("errors") or []
    if not isinstance(errors, list):
        errors = [errors]
    if errors and (inputs.partial == "error" or answer.get("data") is None):
        raise _error(errors, shown)
    extensions = answer.get("extensions")
    return HttpGraphqlOutput(
        data=answer.get("data"), errors=errors, extensions=extensions if isinstance(extensions, dict) else {}
    )


def _error(errors: list[Any], shown: str) -> AgentError:
    told = [_told(error) for error in errors[:_MOST_TOLD]]
    codes = [code for code, _ in told if code]
    is_transient = bool(codes) and all(_TRANSIENT.search(code) for code in codes)
    make = AgentError.transient if is_transient else AgentError.permanent
    return make(
        GRAPHQL_ERROR,
        f"{shown}: {'; '.join(text for _, text in told)}"[:2000],
        attributes={"url": shown, "codes": codes, "count": len(errors)},
    )


def _told(error: Any) -> tuple[str, str]:
    """Code and text of one error."""
    if not isinstance(error, dict):
        return "", str(error)[:300]
    extensions = error.get("extensions")
    code = str(extensions.get("code", "")) if isinstance(extensions, dict) else ""
    path = error.get("path")
    place = f" at {'.'.join(map(str, path))}" if isinstance(path, list) and path else ""
    return code[:100], f"{str(error.get('message', 'no message'))[:300]}{place}"
