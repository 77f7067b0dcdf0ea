"""Settings of a management client; the one place that knows the names of its variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.instance_settings import ca_file_from_environment, data_dir_from_environment
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.places import ENVIRONMENT_SOCKET, served_address

_DEFAULT_SERVER = "127.0.0.1:8002"


@dataclass(frozen=True, slots=True)
class ManagementSettings:
    """What a client needs to reach an environment.

    Attributes:
        server_addr: where the environment is: `host:port`, or `unix:///path` of a socket of this machine
            (RUNTARA_ENVIRONMENT_ADDR; else its socket under DATA_DIR when there is one, else 127.0.0.1:8002).
        server_name: name that its certificate must carry (RUNTARA_SERVER_NAME).
        skip_cert_verification: accept any certificate (RUNTARA_SKIP_CERT_VERIFICATION).
        ca_file: authority that signs its certificate; None stands for the system's authorities (RUNTARA_CA_FILE, else
            `tls/ca.pem` under DATA_DIR when it exists).
        connect_timeout_ms: bound of an attempt to connect, milliseconds (RUNTARA_CONNECT_TIMEOUT_MS).
        request_timeout_ms: bound of a call, milliseconds (RUNTARA_REQUEST_TIMEOUT_MS).
        tenant_id: restricts every call to this tenant; None to none.
        api_key: key of a tenant or of the operator, needed where the environment has keys (RUNTARA_API_KEY).
    """

    server_addr: str = _DEFAULT_SERVER
    server_name: str = "localhost"
    skip_cert_verification: bool = False
    ca_file: Path | None = None
    connect_timeout_ms: int = 10_000
    request_timeout_ms: int = 30_000
    tenant_id: str | None = None
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.tenant_id == "":
            raise ConfigurationError("tenant_id is empty: give the id of the tenant, or None for every tenant")

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> ManagementSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            server_addr=reader.optional_text("RUNTARA_ENVIRONMENT_ADDR") or _default_server(reader),
            server_name=reader.text("RUNTARA_SERVER_NAME", "localhost"),
            skip_cert_verification=reader.boolean("RUNTARA_SKIP_CERT_VERIFICATION", default=False),
            ca_file=ca_file_from_environment(reader),
            connect_timeout_ms=reader.integer("RUNTARA_CONNECT_TIMEOUT_MS", 10_000, minimum=1),
            request_timeout_ms=reader.integer("RUNTARA_REQUEST_TIMEOUT_MS", 30_000, minimum=1),
            api_key=reader.optional_text("RUNTARA_API_KEY"),
        )

    @classmethod
    def localhost(cls) -> ManagementSettings:
        """Settings for an environment on this machine: its socket under DATA_DIR when there is one, else its port.

        Its own authority is pinned where it can be found; without it the certificate is not verified, as nothing leaves
        the machine.
        """
        reader = EnvironmentReader()
        ca_file = ca_file_from_environment(reader)
        return cls(
            _default_server(reader),
            ca_file=ca_file,
            skip_cert_verification=ca_file is None,
            api_key=reader.optional_text("RUNTARA_API_KEY"),
        )


def _default_server(reader: EnvironmentReader) -> str:
    return served_address(data_dir_from_environment(reader), ENVIRONMENT_SOCKET) or _DEFAULT_SERVER
