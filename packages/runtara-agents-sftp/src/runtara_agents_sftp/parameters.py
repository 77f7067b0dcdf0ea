"""The parameters of an SFTP connection, and the type of connections that they are."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from runtara_sdk.agents import (
    AgentError,
    AuthType,
    ConnectionCategory,
    ConnectionField,
    ConnectionType,
    RawConnection,
)

INVALID_CREDENTIALS = "SFTP_INVALID_CREDENTIALS"
NO_CONNECTION = "SFTP_NO_CONNECTION"
NO_AUTH_METHOD = "SFTP_NO_AUTH_METHOD"

CONNECTION_TYPE = ConnectionType(
    "sftp",
    "SFTP",
    "A server that speaks SFTP, with its host key and a password or a private key.",
    ConnectionCategory.FILE_STORAGE,
    AuthType.SSH_KEY,
    (
        ConnectionField("host", required=True, placeholder="files.example.com"),
        ConnectionField("port", type="integer", default=22),
        ConnectionField("username", required=True),
        ConnectionField("password", secret=True),
        ConnectionField("private_key", secret=True, description="PEM or OpenSSH text of a private key of any kind."),
        ConnectionField("passphrase", secret=True, description="Of the private key."),
        ConnectionField(
            "host_key",
            description="Public host keys, a line each, as `ssh-keyscan HOST` prints them.",
            placeholder="ssh-ed25519 AAAAC3Nz...",
        ),
        ConnectionField(
            "host_key_fingerprint",
            description="In place of host_key: SHA-256 fingerprints of host keys, comma-separated.",
            placeholder="SHA256:...",
        ),
        ConnectionField(
            "host_key_policy",
            default="strict",
            description="`strict`, or `ignore`, which talks to whoever answers, an attacker included.",
        ),
        ConnectionField("connect_timeout_ms", type="integer", default=15_000),
        ConnectionField(
            "progress_timeout_ms",
            type="integer",
            default=30_000,
            description="How long the server may say nothing while it owes an answer.",
        ),
        ConnectionField("keepalive_s", type="integer", default=30, description="0 sends nothing on idle connections."),
        ConnectionField(
            "root_path", description="Directory that paths are below of; nothing outside of it can be reached."
        ),
        ConnectionField(
            "jump_host",
            type="object",
            secret=True,
            description="A host to go through: host, port, username, password or private_key, host_key and so on.",
        ),
    ),
)


class HostParameters(BaseModel):
    """How to get into one host."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    host: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    username: str = Field(min_length=1)
    password: str | None = Field(default=None, repr=False)
    private_key: str | None = Field(default=None, repr=False)
    passphrase: str | None = Field(default=None, repr=False)
    host_key: str | None = None
    host_key_fingerprint: str | None = None
    host_key_policy: Literal["strict", "ignore"] = "strict"

    @field_validator("password", "private_key", "passphrase", "host_key", "host_key_fingerprint", mode="after")
    @classmethod
    def _blank_is_none(cls, value: str | None) -> str | None:
        return value if value is not None and value.strip() else None

    @property
    def auth_method(self) -> str | None:
        """`private_key`, which comes first, or `password`; None when there is neither."""
        return "private_key" if self.private_key else "password" if self.password is not None else None


class SftpParameters(HostParameters):
    """How to get to the files of a server."""

    connect_timeout_ms: int = Field(default=15_000, ge=100, le=300_000)
    progress_timeout_ms: int = Field(default=30_000, ge=100, le=3_600_000)
    keepalive_s: int = Field(default=30, ge=0, le=3600)
    root_path: str | None = None
    jump_host: HostParameters | None = None

    def key(self) -> str:
        """Names the connection without telling its secrets."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def parameters_of(connection: RawConnection | None) -> SftpParameters:
    """The parameters of a connection.

    Raises:
        AgentError: SFTP_NO_CONNECTION, SFTP_INVALID_CREDENTIALS or SFTP_NO_AUTH_METHOD, all permanent.
    """
    if connection is None:
        raise AgentError.permanent(NO_CONNECTION, "this call needs a connection of the type sftp: set connectionId")
    try:
        parameters = SftpParameters.model_validate(connection.parameters)
    except ValidationError as error:
        problems = "; ".join(_problem(problem) for problem in error.errors(include_input=False, include_url=False)[:5])
        raise AgentError.permanent(INVALID_CREDENTIALS, f"the connection cannot be used: {problems}") from None
    for place, host in (("", parameters), ("jump_host: ", parameters.jump_host)):
        if host is not None and host.auth_method is None:
            text = f"{place}the connection has neither a private_key nor a password"
            raise AgentError.permanent(NO_AUTH_METHOD, text)
    return parameters


def _problem(problem: Any) -> str:
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
