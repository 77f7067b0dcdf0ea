"""From a connection to what is added to requests: headers, and the origin that alone may see them.

Error texts name parameters, never their values.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError
from runtara_sdk.agents import (
    AgentError,
    AuthType,
    ConnectionCategory,
    ConnectionField,
    ConnectionType,
    RawConnection,
)
from runtara_sdk.agents.errors import CAPABILITY_ERROR

_BASE_URL = ConnectionField(
    "base_url",
    "Base URL",
    description="Relative URLs are below it, and the credentials go to its origin only.",
    placeholder="https://api.example.com",
)
CONNECTION_TYPES = (
    ConnectionType(
        "http_bearer",
        "HTTP Bearer Token",
        "A token in the Authorization header.",
        ConnectionCategory.API,
        AuthType.API_KEY,
        (ConnectionField("token", required=True, secret=True), _BASE_URL),
    ),
    ConnectionType(
        "http_api_key",
        "HTTP API Key",
        "A key in a header.",
        ConnectionCategory.API,
        AuthType.API_KEY,
        (
            ConnectionField("api_key", "API Key", required=True, secret=True),
            ConnectionField("header_name", default="X-API-Key"),
            _BASE_URL,
        ),
    ),
    ConnectionType(
        "http_basic",
        "HTTP Basic Authentication",
        "A user name and a password.",
        ConnectionCategory.API,
        AuthType.USERNAME_PASSWORD,
        (
            ConnectionField("username", required=True),
            ConnectionField("password", secret=True),
            _BASE_URL,
        ),
    ),
)
INTEGRATION_IDS = tuple(each.integration_id for each in CONNECTION_TYPES)
_ALIASES = {"bearer": "http_bearer", "api_key": "http_api_key", "basic_auth": "http_basic"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers for the requests of a connection, and the prefix of its relative URLs ("" when it has none)."""

    headers: dict[str, str] = field(repr=False)
    url_prefix: str = ""


class _Bearer(BaseModel):
    token: str
    base_url: str | None = None

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class _ApiKey(BaseModel):
    api_key: str
    header_name: str = Field(default="X-API-Key", min_length=1)
    base_url: str | None = None

    def headers(self) -> dict[str, str]:
        return {self.header_name: self.api_key}


class _Basic(BaseModel):
    username: str
    password: str = ""
    base_url: str | None = None

    def headers(self) -> dict[str, str]:
        encoded = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {encoded}"}


_MODELS: dict[str, type[_Bearer] | type[_ApiKey] | type[_Basic]] = {
    "http_bearer": _Bearer,
    "http_api_key": _ApiKey,
    "http_basic": _Basic,
}


def credentials_of(connection: RawConnection) -> Credentials:
    """What `connection` adds to a request.

    Raises:
        AgentError: permanent CAPABILITY_ERROR when the connection is of another type or lacks a parameter.
    """
    kind = connection.integration_id
    model = _MODELS.get(_ALIASES.get(kind, kind))
    if model is None:
        known = ", ".join(INTEGRATION_IDS)
        raise AgentError.permanent(
            CAPABILITY_ERROR, f"connection type {kind[:100]!r} is not for HTTP requests; use one of {known}"
        )
    try:
        parameters = model.model_validate(connection.parameters)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise AgentError.permanent(
            CAPABILITY_ERROR, f"connection of type {kind!r}: parameter {name}: {problem['msg']}"
        ) from None
    return Credentials(parameters.headers(), parameters.base_url or "")
