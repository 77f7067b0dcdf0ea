"""From a connection and the `auth` of a step to what requests carry, and to the origin that alone may see it.

Error texts name parameters, never their values.
"""

from __future__ import annotations

import base64
import urllib.parse
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError
from runtara_sdk.agents import AgentError, CapabilityContext, RawConnection
from runtara_sdk.agents.errors import CAPABILITY_ERROR

from runtara_agents_http.connection_types import (
    ALIASES,
    INTEGRATION_IDS,
    PARAMETERS,
    ApiKeyParameters,
    BasicParameters,
    BearerParameters,
    CertificateParameters,
    CustomParameters,
    OAuth2Parameters,
    Parameters,
)
from runtara_agents_http.models import StepAuth
from runtara_agents_http.tls import ClientCertificate

INVALID_AUTH = "HTTP_INVALID_AUTH"

Model = TypeVar("Model", bound=Parameters)

_OF_A_STEP: dict[str, type[Parameters]] = {
    "basic": BasicParameters,
    "bearer": BearerParameters,
    "api_key": ApiKeyParameters,
    "digest": BasicParameters,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the requests at one origin carry.

    Attributes:
        headers, query: fixed ones by name.
        digest: name and password for a challenge.
        oauth2: a client that fetches tokens.
        of_step: whether the step itself gave them: they then go to the origin of its URL, not of the connection.
        url_prefix: of relative URLs; "" when there is none.
        certificate, authorities: for TLS at the origin of the connection.
    """

    headers: dict[str, str] = field(default_factory=dict, repr=False)
    query: dict[str, str] = field(default_factory=dict, repr=False)
    digest: tuple[str, str] | None = field(default=None, repr=False)
    oauth2: OAuth2Parameters | None = field(default=None, repr=False)
    of_step: bool = False
    url_prefix: str = ""
    certificate: ClientCertificate | None = None
    authorities: str = field(default="", repr=False)

    def keep_secret(self, context: CapabilityContext) -> None:
        """Have the values taken out of errors, logs and results, in each form in which they are sent."""
        digest = self.digest[1:] if self.digest else ()
        for value in (*self.headers.values(), *self.query.values(), *digest):
            context.secrets.add(value)
            scheme, _, rest = value.partition(" ")
            if rest and scheme.isalpha():
                context.secrets.add(rest)
            if (encoded := urllib.parse.quote(value, safe="-_.~")) != value:
                context.secrets.add(encoded)


def credentials_of(connection: RawConnection | None, auth: StepAuth | None) -> Credentials:
    """What a step and its connection add to requests; the `auth` of the step takes the place of the connection's.

    Raises:
        AgentError: permanent CAPABILITY_ERROR when the connection is of another type or lacks a parameter,
            HTTP_INVALID_AUTH when `auth` lacks one.
    """
    stored = Parameters() if connection is None else _stored(connection)
    prefix = stored.base_url or ""
    certificate, authorities = None, ""
    if isinstance(stored, CertificateParameters):
        certificate = ClientCertificate(stored.certificate, stored.private_key, stored.passphrase or "")
        authorities = stored.ca_bundle or ""
    of_step = False
    used: Parameters | None = stored
    if auth is not None:
        used, of_step = _of_step(auth, connection)
    headers, query, digest, oauth2 = _carried(used)
    return Credentials(headers, query, digest, oauth2, of_step, prefix, certificate, authorities)


def _carried(
    used: Parameters | None,
) -> tuple[dict[str, str], dict[str, str], tuple[str, str] | None, OAuth2Parameters | None]:
    """Headers, query, digest and OAuth 2.0 client of parameters."""
    match used:
        case BearerParameters():
            return {"Authorization": f"Bearer {used.token}"}, {}, None, None
        case ApiKeyParameters():
            value = f"{used.prefix.strip()} {used.api_key}" if used.prefix and used.prefix.strip() else used.api_key
            if used.location == "query":
                return {}, {used.parameter_name: value}, None, None
            return {used.header_name: value}, {}, None, None
        case BasicParameters(scheme="digest"):
            return {}, {}, (used.username, used.password), None
        case BasicParameters():
            return {"Authorization": basic_header(used.username, used.password)}, {}, None, None
        case OAuth2Parameters():
            return {}, {}, None, used
        case CustomParameters():
            return dict(used.headers), dict(used.query_parameters), None, None
        case _:
            return {}, {}, None, None


def basic_header(name: str, word: str) -> str:
    """The value of an Authorization header of the scheme Basic."""
    encoded = base64.b64encode(f"{name}:{word}".encode(errors="replace")).decode()
    return f"Basic {encoded}"


def _stored(connection: RawConnection) -> Parameters:
    kind = connection.integration_id
    model = PARAMETERS.get(ALIASES.get(kind, kind))
    if model is None:
        known = ", ".join(INTEGRATION_IDS)
        raise AgentError.permanent(
            CAPABILITY_ERROR, f"connection type {kind[:100]!r} is not for HTTP requests; use one of {known}"
        )
    return _validated(model, connection.parameters, CAPABILITY_ERROR, f"connection of type {kind!r}: parameter")


def _of_step(auth: StepAuth, connection: RawConnection | None) -> tuple[Parameters | None, bool]:
    """The parameters that `auth` asks for, completed from the connection, and whether all of them are its own."""
    if auth.type == "none":
        return None, False
    own = auth.parameters()
    if auth.type in ("basic", "digest"):
        own["scheme"] = auth.type
    model = _OF_A_STEP[auth.type]
    lent = connection.parameters if connection is not None else {}
    borrowed = {name: lent[name] for name in model.model_fields if name in lent and name not in own}
    borrowed.pop("base_url", None)
    return _validated(model, borrowed | own, INVALID_AUTH, f"auth of type {auth.type}:"), not borrowed


def _validated(model: type[Model], parameters: dict[str, Any], code: str, place: str) -> Model:
    # What a form leaves empty is not there.
    given = {name: value for name, value in parameters.items() if value is not None or _is_required(model, name)}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise AgentError.permanent(code, f"{place} {name}: {problem['msg']}") from None


def _is_required(model: type[Parameters], name: str) -> bool:
    known = model.model_fields.get(name)
    return known is not None and known.is_required()
