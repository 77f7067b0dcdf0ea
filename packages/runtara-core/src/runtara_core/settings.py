"""Settings of the core daemon; with `retention_settings` the one place that knows the names of its variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runtara_sdk.guarded_call import check_load_seconds
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import TlsIdentity

from runtara_core.database.postgres_settings import PostgresSettings
from runtara_core.guest_users import GuestUsers, wanted_users
from runtara_core.models import CoreLimits
from runtara_core.retention_settings import RetentionSettings
from runtara_core.server_identity import given_identity


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """What a core daemon needs to start.

    Attributes:
        database_url: `postgres://...` or `sqlite://...` (RUNTARA_DATABASE_URL).
        instance_port: UDP port of the instance protocol (RUNTARA_QUIC_PORT); 0 lets the system choose.
        management_port: UDP port of the management protocol (RUNTARA_ADMIN_PORT).
        bind_address: address that both ports bind (RUNTARA_BIND_ADDRESS); None opens no port and needs no certificate.
        data_dir: where the certificates and the local sockets are (DATA_DIR).
        server_names: further names in the server certificate (RUNTARA_SERVER_NAMES, comma-separated).
        tls: certificate and key to show instead of a local authority's (RUNTARA_TLS_CERT_FILE, RUNTARA_TLS_KEY_FILE).
        limits: RUNTARA_MAX_CONCURRENT_INSTANCES, RUNTARA_MAX_CONCURRENT_INSTANCES_PER_TENANT (0: no bound), and the
            recovery policy.
        retention: when finished instances are removed (RUNTARA_DB_CLEANUP_*).
        guest_users: as whom programs run that may use the local socket, besides the users of containers
            (RUNTARA_NATIVE_USER).
    """

    database_url: str
    instance_port: int = 8001
    management_port: int = 8003
    bind_address: str | None = "127.0.0.1"
    data_dir: Path = Path(".data")
    server_names: tuple[str, ...] = ()
    tls: TlsIdentity | None = None
    limits: CoreLimits = field(default_factory=CoreLimits)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    guest_users: GuestUsers = field(default_factory=GuestUsers)

    @classmethod
    def from_environment(
        cls, reader: EnvironmentReader | None = None, *, database_url: str | None = None, data_dir: Path | None = None
    ) -> CoreSettings:
        """Read the variables; raises `ConfigurationError` naming what is missing or wrong.

        A database and a data directory that are given stand for their variables.
        """
        reader = reader or EnvironmentReader()
        users = wanted_users(reader)
        PostgresSettings.from_environment(reader)  # also where they are not used, as with SQLite
        check_load_seconds(reader)
        return cls(
            database_url=database_url
            or reader.required_text(
                "RUNTARA_DATABASE_URL",
                "set it to postgres://user:password@host/database or sqlite:///path/to/file.db",
            ),
            instance_port=reader.port("RUNTARA_QUIC_PORT", 8001),
            management_port=reader.port("RUNTARA_ADMIN_PORT", 8003),
            bind_address=reader.text("RUNTARA_BIND_ADDRESS", "127.0.0.1"),
            data_dir=(data_dir or Path(reader.text("DATA_DIR", ".data"))).absolute(),
            server_names=tuple(
                name.strip() for name in reader.text("RUNTARA_SERVER_NAMES", "").split(",") if name.strip()
            ),
            tls=given_identity(reader),
            limits=CoreLimits(
                max_concurrent_instances=reader.integer(
                    "RUNTARA_MAX_CONCURRENT_INSTANCES", 32, minimum=1, maximum=1_000_000
                ),
                max_concurrent_instances_of_tenant=reader.integer(
                    "RUNTARA_MAX_CONCURRENT_INSTANCES_PER_TENANT", 0, minimum=0, maximum=1_000_000
                ),
            ),
            retention=RetentionSettings.from_environment(reader),
            guest_users=users if isinstance(users, GuestUsers) else GuestUsers(),
        )
