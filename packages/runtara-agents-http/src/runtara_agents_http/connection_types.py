"""The kinds of connections that the agent takes, and their parameters."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from runtara_sdk.agents import AuthType, ConnectionCategory, ConnectionField, ConnectionType

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
        "A key in a header or in the query.",
        ConnectionCategory.API,
        AuthType.API_KEY,
        (
            ConnectionField("api_key", "API Key", required=True, secret=True),
            ConnectionField("location", default="header", description="Where the key goes: `header` or `query`."),
            ConnectionField("header_name", default="X-API-Key", description="Name of the header."),
            ConnectionField("parameter_name", default="api_key", description="Name of the query parameter."),
            ConnectionField("prefix", description="A word before the key, with a blank between them."),
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
            ConnectionField("scheme", default="basic", description="`basic`, or `digest` for a challenge."),
            _BASE_URL,
        ),
    ),
    ConnectionType(
        "http_oauth2_client_credentials",
        "HTTP OAuth 2.0 Client Credentials",
        "A client that fetches its own tokens.",
        ConnectionCategory.API,
        AuthType.OAUTH2_CLIENT_CREDENTIALS,
        (
            ConnectionField("token_url", "Token URL", required=True, placeholder="https://login.example.com/token"),
            ConnectionField("client_id", "Client ID", required=True),
            ConnectionField("client_secret", "Client Secret", required=True, secret=True),
            ConnectionField("scope", description="Scopes, separated by blanks."),
            ConnectionField("audience", description="Sent as `audience` where an authorization server asks for it."),
            ConnectionField(
                "client_authentication",
                default="basic",
                description="How the client shows itself: `basic` (Authorization header) or `body` (form fields).",
            ),
            _BASE_URL,
        ),
    ),
    ConnectionType(
        "http_client_certificate",
        "HTTP Client Certificate",
        "A certificate that the agent shows to a server that asks for one.",
        ConnectionCategory.API,
        AuthType.CUSTOM,
        (
            ConnectionField("certificate", required=True, description="PEM text; a chain begins with the own one."),
            ConnectionField("private_key", required=True, secret=True, description="PEM text."),
            ConnectionField("passphrase", secret=True, description="Of an encrypted private key."),
            ConnectionField("ca_bundle", "CA Bundle", description="PEM text of the authorities of the server."),
            _BASE_URL,
        ),
    ),
    ConnectionType(
        "http_custom",
        "HTTP Custom Headers and Parameters",
        "Headers and query parameters of a scheme of its own.",
        ConnectionCategory.API,
        AuthType.CUSTOM,
        (
            ConnectionField("headers", secret=True, description="JSON object of texts by name.", placeholder="{}"),
            ConnectionField(
                "query_parameters", secret=True, description="JSON object of texts by name.", placeholder="{}"
            ),
            _BASE_URL,
        ),
    ),
)

INTEGRATION_IDS = tuple(each.integration_id for each in CONNECTION_TYPES)

ALIASES = {
    "bearer": "http_bearer",
    "api_key": "http_api_key",
    "basic_auth": "http_basic",
    "oauth2_client_credentials": "http_oauth2_client_credentials",
    "client_certificate": "http_client_certificate",
}
"""Ids under which connections were stored elsewhere."""


def _object_of_text(value: Any) -> Any:
    """Forms hold texts only, so an object may come as its JSON."""
    if isinstance(value, str):
        if not value.strip():
            return {}
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("it must be a JSON object") from None
    return value


_Texts = Annotated[dict[str, str], BeforeValidator(_object_of_text)]


class Parameters(BaseModel):
    """What all kinds have."""

    model_config = ConfigDict(defer_build=True)  # most workflows have one kind, or none

    base_url: str | None = None


class BearerParameters(Parameters):
    """Of `http_bearer`."""

    token: str


class ApiKeyParameters(Parameters):
    """Of `http_api_key`."""

    api_key: str
    location: Literal["header", "query"] = "header"
    header_name: str = Field(default="X-API-Key", min_length=1)
    parameter_name: str = Field(default="api_key", min_length=1)
    prefix: str | None = None


class BasicParameters(Parameters):
    """Of `http_basic`."""

    username: str
    password: str = ""
    scheme: Literal["basic", "digest"] = "basic"


class OAuth2Parameters(Parameters):
    """Of `http_oauth2_client_credentials`."""

    token_url: str = Field(min_length=1)
    client_id: str = Field(min_length=1)
    client_secret: str
    scope: str | None = None
    audience: str | None = None
    client_authentication: Literal["basic", "body"] = "basic"


class CertificateParameters(Parameters):
    """Of `http_client_certificate`."""

    certificate: str
    private_key: str
    passphrase: str | None = None
    ca_bundle: str | None = None


class CustomParameters(Parameters):
    """Of `http_custom`."""

    headers: _Texts = {}
    query_parameters: _Texts = {}


PARAMETERS: dict[str, type[Parameters]] = {
    "http_bearer": BearerParameters,
    "http_api_key": ApiKeyParameters,
    "http_basic": BasicParameters,
    "http_oauth2_client_credentials": OAuth2Parameters,
    "http_client_certificate": CertificateParameters,
    "http_custom": CustomParameters,
}
