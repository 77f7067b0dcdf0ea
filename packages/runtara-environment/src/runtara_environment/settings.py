"""Settings of the environment daemon; the one place that knows the names of its variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtara_core.server_identity import given_identity
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.instance_settings import ca_file_from_environment
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import TlsIdentity


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """How launches are claimed and watched.

    Attributes:
        lease_ms: how long a claim lives without renewal; renewed three times in that span.
        claim_batch: launches claimed at once.
        claim_wait_ms: longest wait of one claim call; never more than half a lease.
        default_timeout_seconds: bound of a launch whose start named none (EXECUTION_TIMEOUT_SECS).
        runner: type of an installed runner, or `auto` for the first built-in one whose probe passes (RUNTARA_RUNNER).
        skip_certificate_verification: handed to instances (RUNTARA_SKIP_CERT_VERIFICATION).
    """

    lease_ms: int = 30_000
    claim_batch: int = 8
    claim_wait_ms: int = 25_000
    default_timeout_seconds: int = 300
    runner: str = "auto"
    skip_certificate_verification: bool = False

    @classmethod
    def from_environment(
        cls, reader: EnvironmentReader | None = None, *, default_timeout_seconds: int = 300
    ) -> SupervisionSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            default_timeout_seconds=reader.integer(
                "EXECUTION_TIMEOUT_SECS", default_timeout_seconds, minimum=1, maximum=2**31
            ),
            runner=reader.text("RUNTARA_RUNNER", "auto"),
            skip_certificate_verification=reader.boolean("RUNTARA_SKIP_CERT_VERIFICATION", default=False),
        )


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What an environment daemon needs to start.

    Attributes:
        database_url: where images and launches are kept, normally core's database
            (RUNTARA_ENVIRONMENT_DATABASE_URL, else RUNTARA_DATABASE_URL).
        port: UDP port of the environment protocol (RUNTARA_ENV_QUIC_PORT); 0 lets the system choose.
        bind_address: address that the port binds (RUNTARA_BIND_ADDRESS).
        core_address: `host:port` where instances reach core (RUNTARA_CORE_ADDR).
        core_management_address: `host:port` of core's management port (RUNTARA_CORE_ADMIN_ADDR; by default the host of
            `core_address` and RUNTARA_ADMIN_PORT).
        data_dir: images, run directories, certificates (DATA_DIR); absolute.
        server_name: name that core's certificate is checked against (RUNTARA_SERVER_NAME).
        ca_file: authority of core's certificate (RUNTARA_CA_FILE, else `tls/ca.pem` under DATA_DIR).
        server_names: further names in this daemon's certificate (RUNTARA_SERVER_NAMES, comma-separated).
        tls: certificate and key to show instead of a local authority's (RUNTARA_TLS_CERT_FILE, RUNTARA_TLS_KEY_FILE).
        api_key: operator key for core's management port, needed where core has keys (RUNTARA_API_KEY).
        supervision: how launches are claimed and watched.
    """

    database_url: str
    data_dir: Path
    port: int = 8002
    bind_address: str = "127.0.0.1"
    core_address: str = "127.0.0.1:8001"
    core_management_address: str = "127.0.0.1:8003"
    server_name: str = "localhost"
    ca_file: Path | None = None
    server_names: tuple[str, ...] = ()
    tls: TlsIdentity | None = None
    api_key: str | None = field(default=None, repr=False)
    supervision: SupervisionSettings = SupervisionSettings()

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> EnvironmentSettings:
        """Read the variables; raises `ConfigurationError` naming what is missing or wrong."""
        reader = reader or EnvironmentReader()
        core_address = reader.text("RUNTARA_CORE_ADDR", "127.0.0.1:8001")
        core_host = _host_of(core_address, "RUNTARA_CORE_ADDR")
        core_management_address = reader.text(
            "RUNTARA_CORE_ADMIN_ADDR", f"{core_host}:{reader.port('RUNTARA_ADMIN_PORT', 8003)}"
        )
        _host_of(core_management_address, "RUNTARA_CORE_ADMIN_ADDR")
        database_url = reader.optional_text("RUNTARA_ENVIRONMENT_DATABASE_URL") or reader.required_text(
            "RUNTARA_DATABASE_URL",
            "set it or RUNTARA_ENVIRONMENT_DATABASE_URL to core's database, "
            "postgres://user:password@host/database or sqlite:///path/to/file.db",
        )
        return cls(
            database_url=database_url,
            data_dir=Path(reader.text("DATA_DIR", ".data")).absolute(),
            port=reader.port("RUNTARA_ENV_QUIC_PORT", 8002),
            bind_address=reader.text("RUNTARA_BIND_ADDRESS", "127.0.0.1"),
            core_address=core_address,
            core_management_address=core_management_address,
            server_name=reader.text("RUNTARA_SERVER_NAME", "localhost"),
            ca_file=ca_file_from_environment(reader) if reader.optional_text("RUNTARA_CA_FILE") else None,
            tls=given_identity(reader),
            api_key=reader.optional_text("RUNTARA_API_KEY"),
            server_names=tuple(
                name.strip() for name in reader.text("RUNTARA_SERVER_NAMES", "").split(",") if name.strip()
            ),
            supervision=SupervisionSettings.from_environment(reader),
        )


def _host_of(address: str, setting: str) -> str:
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit():
        raise ConfigurationError(f"{setting}={address!r} is not host:port")
    return host
