"""Kinds of connections that agents declare: what a product's form asks for, and what of it is secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from runtara_sdk.agents.errors import AgentDefinitionError

INTEGRATION_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""What ids of connection types look like."""


class ConnectionCategory(StrEnum):
    """What a connection leads to, for listings."""

    API = "api"
    CLOUD = "cloud"
    CRM = "crm"
    DATABASE = "database"
    ECOMMERCE = "ecommerce"
    EMAIL = "email"
    ERP = "erp"
    FILE_STORAGE = "file_storage"
    LLM = "llm"
    MESSAGING = "messaging"
    PAYMENT = "payment"


class AuthType(StrEnum):
    """How the other side knows who calls."""

    ACCESS_KEY = "access_key"
    API_KEY = "api_key"
    CONNECTION_STRING = "connection_string"
    CUSTOM = "custom"
    OAUTH2_AUTHORIZATION_CODE = "oauth2_authorization_code"
    OAUTH2_CLIENT_CREDENTIALS = "oauth2_client_credentials"
    SSH_KEY = "ssh_key"
    USERNAME_PASSWORD = "username_password"  # noqa: S105 - the name of a kind


@dataclass(frozen=True, slots=True)
class ConnectionField:
    """One parameter of a connection.

    Attributes:
        name: its key in `parameters`.
        display_name: for forms; the name in title case when left out.
        type: of its JSON value.
        required: whether a connection must have it.
        secret: whether it is shown to nobody.
        description, placeholder: for forms.
        default: JSON value that is used when it is left out.
    """

    name: str
    display_name: str | None = None
    type: Literal["string", "integer", "number", "boolean", "object", "array"] = "string"
    required: bool = False
    secret: bool = False
    description: str | None = None
    placeholder: str | None = None
    default: Any = None

    def metadata(self) -> dict[str, Any]:
        """The field in a listing of connection types."""
        optional = {"description": self.description, "placeholder": self.placeholder, "default": self.default}
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "displayName": self.display_name or self.name.replace("_", " ").title(),
            "isSecret": self.secret,
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class ConnectionType:
    """One kind of connection.

    Attributes:
        integration_id: names it in connections and in Connection steps: lower-case words with underscores.
        display_name, description: for listings.
        category: what it leads to.
        auth_type: how the other side knows who calls.
        fields: its parameters.

    Raises `AgentDefinitionError` for an id that is malformed and for a field that is there twice.
    """

    integration_id: str
    display_name: str
    description: str
    category: ConnectionCategory
    auth_type: AuthType
    fields: tuple[ConnectionField, ...]

    def __post_init__(self) -> None:
        if not INTEGRATION_ID.fullmatch(self.integration_id):
            text = f"connection type {self.integration_id!r} must be lower-case words with underscores"
            raise AgentDefinitionError(text)
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise AgentDefinitionError(f"connection type {self.integration_id!r} has a field twice")

    def metadata(self) -> dict[str, Any]:
        """The entry of the type in the specification: a JSON object with camelCase keys."""
        return {
            "integrationId": self.integration_id,
            "displayName": self.display_name,
            "description": self.description,
            "category": self.category.value,
            "authType": self.auth_type.value,
            "fields": [field.metadata() for field in self.fields],
        }

    def problems(self, parameters: dict[str, Any]) -> list[str]:
        """What parameters lack to be those of such a connection, one text each; values are not told."""
        known = {field.name for field in self.fields}
        missing = [
            f"{field.name} is missing" for field in self.fields if field.required and field.name not in parameters
        ]
        wrong = [
            f"{field.name} must be of the type {field.type}"
            for field in self.fields
            if field.name in parameters and not _fits(parameters[field.name], field.type)
        ]
        return [*missing, *wrong, *(f"{name} is not one of its fields" for name in sorted(parameters.keys() - known))]


def one_of_each(types: Iterable[ConnectionType]) -> dict[str, ConnectionType]:
    """Connection types by id; raises `AgentDefinitionError` when two of one id differ."""
    found: dict[str, ConnectionType] = {}
    for each in types:
        if found.setdefault(each.integration_id, each) != each:
            raise AgentDefinitionError(f"connection type {each.integration_id!r} is declared twice, differently")
    return found


def _fits(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    kinds: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}
    kinds |= {"object": (dict,), "array": (list,)}
    return isinstance(value, kinds.get(type_name, ()))
