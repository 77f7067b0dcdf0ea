"""Settings of the environment daemon; the one place that knows the names of its variables."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from runtara_core.database import is_sql_url
from runtara_core.database.postgres_settings import PostgresSettings
from runtara_core.database.urls import url_scheme
from runtara_core.models import MAX_STORED_INPUT_BYTES
from runtara_core.server_identity import given_identity
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.guarded_call import check_load_seconds
from runtara_sdk.instance_settings import ca_file_from_environment
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import TlsIdentity
from runtara_sdk.transport.address import format_local_address, is_local, parse_local_address
from runtara_sdk.transport.places import (
    CORE_MANAGEMENT_SOCKET,
    CORE_SOCKET,
    served_address,
    socket_path,
)

from runtara_environment.limit_policy import LimitPolicy
from runtara_environment.program_variables import check_program_variables
from runtara_environment.registry import MAX_ARTIFACT_BYTES
from runtara_environment.runner import NetworkMode

_LEAST_HEARTBEAT_TIMEOUT_SECONDS = 60
_LEAST_LEASE_SECONDS = 6
_CORE_PORT_ADDRESS = "127.0.0.1:8001"

DEFAULT_MAX_INPUT_BYTES = 64 * 1024 * 1024
"""Longest input of a start."""


@dataclass(frozen=True, slots=True)
class SupervisionSettings:
    """How launches are claimed and watched.

    Attributes:
        lease_ms: how long a claim lives without renewal; renewed six times in that span (RUNTARA_LEASE_SECS).
        claim_batch: launches claimed at once.
        claim_wait_ms: longest wait of one claim call; never more than half a lease.
        max_launches: most launches of this host at a time, beside the limit of core for all hosts; 0 is no limit of its
            own (RUNTARA_MAX_LAUNCHES_PER_HOST).
        default_timeout_seconds: bound of a launch whose start named none (EXECUTION_TIMEOUT_SECS).
        runner: the type of an installed runner, or `auto` for the first of containers and plain processes whose probe
            passes; containers come first where `network` is given, else last (RUNTARA_RUNNER).
        network: what of the network programs see; None leaves it to the runner (RUNTARA_NETWORK_MODE).
        bundles_directory: where containers have their files; None stands for `bundles` under the data directory
            (BUNDLES_DIR).
        skip_certificate_verification: handed to instances (RUNTARA_SKIP_CERT_VERIFICATION).
        heartbeat_timeout_seconds: how long a launch may be silent and idle before it is taken for hung; 0 looks for
            none (RUNTARA_HEARTBEAT_TIMEOUT_SECS).
        limits: what launches may use (RUNTARA_DEFAULT_*, RUNTARA_MAX_*).
        image_runners: the runners that images and tests of capabilities may name, beside the environment's own
            (RUNTARA_IMAGE_RUNNERS). Both are a tenant's, so a runner that isolates less than the environment's own is
            not among them unasked.
    """

    lease_ms: int = 12_000
    claim_batch: int = 8
    claim_wait_ms: int = 25_000
    max_launches: int = 0
    default_timeout_seconds: int = 300
    runner: str = "auto"
    network: NetworkMode | None = None
    bundles_directory: Path | None = None
    skip_certificate_verification: bool = False
    heartbeat_timeout_seconds: int = 120
    limits: LimitPolicy = field(default_factory=LimitPolicy)
    image_runners: tuple[str, ...] = ("oci",)

    @classmethod
    def from_environment(
        cls, reader: EnvironmentReader | None = None, *, default_timeout_seconds: int = 300
    ) -> SupervisionSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        check_program_variables(reader)
        check_load_seconds(reader)
        return cls(
            lease_ms=_lease_seconds(reader) * 1000,
            default_timeout_seconds=reader.integer(
                "EXECUTION_TIMEOUT_SECS", default_timeout_seconds, minimum=1, maximum=2**31
            ),
            max_launches=reader.integer("RUNTARA_MAX_LAUNCHES_PER_HOST", 0, minimum=0, maximum=1_000_000),
            runner=reader.text("RUNTARA_RUNNER", "auto"),
            network=_network_mode(reader.optional_text("RUNTARA_NETWORK_MODE")),
            bundles_directory=_bundles_directory(reader),
            skip_certificate_verification=reader.boolean("RUNTARA_SKIP_CERT_VERIFICATION", default=False),
            heartbeat_timeout_seconds=_heartbeat_timeout_seconds(reader),
            limits=LimitPolicy.from_environment(reader),
            image_runners=tuple(
                name.strip() for name in reader.text("RUNTARA_IMAGE_RUNNERS", "oci").split(",") if name.strip()
            ),
        )


class OnShutdown(StrEnum):
    """What becomes of running instances when the daemon is told to stop."""

    DRAIN = "drain"
    """They are told to suspend, and go on where another environment claims them, or here after the next start."""
    LEAVE = "leave"
    """They run on, and the next environment of the data directory takes them over."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What an environment tells others of its host, and how it leaves.

    Attributes:
        name: for people (RUNTARA_HOST_NAME; else the name of the machine).
        address: where other hosts and operators reach this environment (RUNTARA_ADVERTISE_ADDRESS; None stands for
            where it serves).
        on_shutdown: what becomes of running instances at SIGTERM and SIGINT (RUNTARA_ON_SHUTDOWN).
        shutdown_grace_ms: how long they may take to suspend then (RUNTARA_SHUTDOWN_GRACE_MS).
    """

    name: str = field(default_factory=socket.gethostname)
    address: str | None = None
    on_shutdown: OnShutdown = OnShutdown.DRAIN
    shutdown_grace_ms: int = 60_000

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> HostSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        address = reader.optional_text("RUNTARA_ADVERTISE_ADDRESS")
        if address is not None:
            _check_address(address, "RUNTARA_ADVERTISE_ADDRESS")
        on_shutdown = reader.text("RUNTARA_ON_SHUTDOWN", OnShutdown.DRAIN.value)
        if on_shutdown not in set(OnShutdown):
            raise ConfigurationError(f"RUNTARA_ON_SHUTDOWN={on_shutdown!r} is unknown: set it to drain or leave")
        return cls(
            name=reader.text("RUNTARA_HOST_NAME", socket.gethostname()),
            address=address,
            on_shutdown=OnShutdown(on_shutdown),
            shutdown_grace_ms=reader.integer("RUNTARA_SHUTDOWN_GRACE_MS", 60_000, maximum=24 * 3_600_000),
        )


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Where artifacts are fetched from that this host lacks, and where new ones are kept.

    Attributes:
        sources: places, the first to be asked first: `hosts`, `database`, or `directory:/path` (RUNTARA_IMAGE_SOURCES,
            comma-separated; `none` stands for no place). New artifacts are put into directories and the database, too.
        copies: on how many hosts a new artifact is kept before its registration is answered (RUNTARA_IMAGE_COPIES).
    """

    sources: tuple[str, ...] = ("hosts",)
    copies: int = 1

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> ImageSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        text = reader.text("RUNTARA_IMAGE_SOURCES", "hosts")
        sources = () if text.strip() == "none" else tuple(each.strip() for each in text.split(",") if each.strip())
        for source in sources:
            kind, _, path = source.partition(":")
            if source not in ("hosts", "database") and not (kind == "directory" and path.startswith("/")):
                raise ConfigurationError(
                    f"RUNTARA_IMAGE_SOURCES={text!r}: {source!r} is no place of images; name hosts, database, "
                    "directory:/path with an absolute path, or none alone"
                )
        return cls(sources, reader.integer("RUNTARA_IMAGE_COPIES", 1, minimum=1, maximum=100))


@dataclass(frozen=True, slots=True)
class AgentTestingSettings:
    """Whether the environment calls capabilities of agents for those who ask it to.

    Attributes:
        enabled: whether `test_capability` is served (ENABLE_AGENT_TESTING). A test does all that the capability does,
            on this host and as its user, so an operator has to want it.
        max_tests: most tests at a time, of one tenant half of them (RUNTARA_MAX_AGENT_TESTS).
    """

    enabled: bool = False
    max_tests: int = 4

    @classmethod
    def from_environment(
        cls, reader: EnvironmentReader | None = None, *, enabled: bool = False
    ) -> AgentTestingSettings:
        """Read the variables; `enabled` is what holds where none is set.

        Raises `ConfigurationError` naming what is wrong.
        """
        reader = reader or EnvironmentReader()
        return cls(
            enabled=reader.boolean("ENABLE_AGENT_TESTING", default=enabled),
            max_tests=reader.integer("RUNTARA_MAX_AGENT_TESTS", 4, minimum=1, maximum=1_000),
        )


@dataclass(frozen=True, slots=True)
class InputCheckSettings:
    """Bounds of the child processes that check long inputs of starts.

    Attributes:
        max_checks: most of them at a time, of one tenant half of them (RUNTARA_MAX_INPUT_CHECKS).
        memory_bytes: memory of each (RUNTARA_INPUT_CHECK_MEMORY_BYTES). Of 64 MiB, records take 470 MiB and a list of
            short texts takes 1070 MiB.
    """

    max_checks: int = 4
    memory_bytes: int = 1280 * 1024 * 1024

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> InputCheckSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            max_checks=reader.integer("RUNTARA_MAX_INPUT_CHECKS", 4, minimum=1, maximum=1_000),
            memory_bytes=reader.integer(
                "RUNTARA_INPUT_CHECK_MEMORY_BYTES", 1280 * 1024 * 1024, minimum=256 * 1024 * 1024, maximum=2**40
            ),
        )


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """Which images are taken, and how long they are kept.

    Attributes:
        max_image_bytes: largest artifact (RUNTARA_MAX_IMAGE_BYTES).
        public_keys: a public key, or a directory of them, with one of which every artifact has to be signed; None takes
            unsigned ones (RUNTARA_IMAGE_PUBLIC_KEYS).
        cleanup_enabled: whether versions and artifacts that nobody needs are removed (RUNTARA_IMAGE_CLEANUP_ENABLED).
        cleanup_poll_interval_seconds: from one pass to the next, and before the first
            (RUNTARA_IMAGE_CLEANUP_POLL_INTERVAL_SECS).
        cleanup_max_age_days: how long a version stays after its last use (RUNTARA_IMAGE_CLEANUP_MAX_AGE_DAYS).
        cleanup_batch_size: most versions that are looked at between two pauses (RUNTARA_IMAGE_CLEANUP_BATCH_SIZE).
    """

    max_image_bytes: int = MAX_ARTIFACT_BYTES
    public_keys: Path | None = None
    cleanup_enabled: bool = False
    cleanup_poll_interval_seconds: int = 21_600
    cleanup_max_age_days: int = 7
    cleanup_batch_size: int = 50

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> RegistrySettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        keys = reader.optional_text("RUNTARA_IMAGE_PUBLIC_KEYS")
        return cls(
            max_image_bytes=reader.integer("RUNTARA_MAX_IMAGE_BYTES", MAX_ARTIFACT_BYTES, minimum=1, maximum=2**40),
            public_keys=None if keys is None else Path(keys).absolute(),
            cleanup_enabled=reader.boolean("RUNTARA_IMAGE_CLEANUP_ENABLED", default=False),
            cleanup_poll_interval_seconds=reader.integer(
                "RUNTARA_IMAGE_CLEANUP_POLL_INTERVAL_SECS", 21_600, minimum=1, maximum=31_536_000
            ),
            cleanup_max_age_days=reader.integer("RUNTARA_IMAGE_CLEANUP_MAX_AGE_DAYS", 7, minimum=1, maximum=36_500),
            cleanup_batch_size=reader.integer("RUNTARA_IMAGE_CLEANUP_BATCH_SIZE", 50, minimum=1, maximum=1_000),
        )


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What an environment daemon needs to start.

    Attributes:
        database_url: where images and launches are kept, normally core's database
            (RUNTARA_ENVIRONMENT_DATABASE_URL, else RUNTARA_DATABASE_URL).
        port: UDP port of the environment protocol (RUNTARA_ENV_QUIC_PORT); 0 lets the system choose.
        bind_address: address that the port binds (RUNTARA_BIND_ADDRESS); None opens no port.
        core_address: where instances reach core, `host:port` or `unix:///path` (RUNTARA_CORE_ADDR; else the socket of a
            core that uses the same DATA_DIR, when it serves environments there, too, else 127.0.0.1:8001).
        further_core_addresses: where the same core answers, too; programs that were given one of these are left alone.
        core_management_address: where this daemon reaches core (RUNTARA_CORE_ADMIN_ADDR; by default the management
            socket beside that of `core_address`, or its host and RUNTARA_ADMIN_PORT).
        data_dir: images, run directories, certificates (DATA_DIR); absolute.
        server_name: name that core's certificate is checked against (RUNTARA_SERVER_NAME).
        ca_file: authority of core's certificate (RUNTARA_CA_FILE, else `tls/ca.pem` under DATA_DIR).
        server_names: further names in this daemon's certificate (RUNTARA_SERVER_NAMES, comma-separated).
        tls: certificate and key to show instead of a local authority's (RUNTARA_TLS_CERT_FILE, RUNTARA_TLS_KEY_FILE).
        api_key: operator key for core's management port, needed where core has keys (RUNTARA_API_KEY).
        supervision: how launches are claimed and watched.
        host: what this environment tells others of its host, and how it leaves.
        images: where artifacts are fetched from, and where new ones are kept.
        agent_testing: whether capabilities of agents are tested.
        max_input_bytes: longest input of a start (RUNTARA_MAX_INPUT_BYTES).
        input_checks: bounds of the processes that check inputs.
        registry: which images are taken, and how long they are kept.
    """

    database_url: str
    data_dir: Path
    port: int = 8002
    bind_address: str | None = "127.0.0.1"
    core_address: str = _CORE_PORT_ADDRESS
    further_core_addresses: frozenset[str] = frozenset()
    core_management_address: str = "127.0.0.1:8003"
    server_name: str = "localhost"
    ca_file: Path | None = None
    server_names: tuple[str, ...] = ()
    tls: TlsIdentity | None = None
    api_key: str | None = field(default=None, repr=False)
    supervision: SupervisionSettings = SupervisionSettings()
    host: HostSettings = field(default_factory=HostSettings)
    images: ImageSettings = ImageSettings()
    agent_testing: AgentTestingSettings = AgentTestingSettings()
    max_input_bytes: int = DEFAULT_MAX_INPUT_BYTES
    input_checks: InputCheckSettings = InputCheckSettings()
    registry: RegistrySettings = RegistrySettings()

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> EnvironmentSettings:
        """Read the variables; raises `ConfigurationError` naming what is missing or wrong."""
        reader = reader or EnvironmentReader()
        data_dir = Path(reader.text("DATA_DIR", ".data")).absolute()
        given = reader.optional_text("RUNTARA_CORE_ADDR")
        core_address = given or _served_core(data_dir) or _CORE_PORT_ADDRESS
        by_default = {_CORE_PORT_ADDRESS, format_local_address(socket_path(data_dir, CORE_SOCKET))}
        core_management_address = reader.optional_text("RUNTARA_CORE_ADMIN_ADDR") or _management_address(
            core_address, reader
        )
        _check_address(core_address, "RUNTARA_CORE_ADDR")
        _check_address(core_management_address, "RUNTARA_CORE_ADMIN_ADDR")
        PostgresSettings.from_environment(reader)  # also where they are not used, as with SQLite
        database_url = reader.optional_text("RUNTARA_ENVIRONMENT_DATABASE_URL") or reader.required_text(
            "RUNTARA_DATABASE_URL",
            "set it or RUNTARA_ENVIRONMENT_DATABASE_URL to core's database, "
            "postgres://user:password@host/database or sqlite:///path/to/file.db",
        )
        if not is_sql_url(database_url):
            raise ConfigurationError(
                f"the environment keeps images and launches in PostgreSQL or SQLite alone, and "
                f"{url_scheme(database_url)}:// is a storage of core: set RUNTARA_ENVIRONMENT_DATABASE_URL "
                "to postgres://user:password@host/database or sqlite:///path/to/file.db"
            )
        return cls(
            database_url=database_url,
            data_dir=data_dir,
            port=reader.port("RUNTARA_ENV_QUIC_PORT", 8002),
            bind_address=reader.text("RUNTARA_BIND_ADDRESS", "127.0.0.1"),
            core_address=core_address,
            further_core_addresses=frozenset() if given else frozenset(by_default - {core_address}),
            core_management_address=core_management_address,
            server_name=reader.text("RUNTARA_SERVER_NAME", "localhost"),
            ca_file=ca_file_from_environment(reader) if reader.optional_text("RUNTARA_CA_FILE") else None,
            tls=given_identity(reader),
            api_key=reader.optional_text("RUNTARA_API_KEY"),
            server_names=tuple(
                name.strip() for name in reader.text("RUNTARA_SERVER_NAMES", "").split(",") if name.strip()
            ),
            supervision=SupervisionSettings.from_environment(reader),
            host=HostSettings.from_environment(reader),
            images=ImageSettings.from_environment(reader),
            agent_testing=AgentTestingSettings.from_environment(reader),
            max_input_bytes=max_input_bytes(reader),
            input_checks=InputCheckSettings.from_environment(reader),
            registry=RegistrySettings.from_environment(reader),
        )


def _bundles_directory(reader: EnvironmentReader) -> Path | None:
    text = reader.optional_text("BUNDLES_DIR")
    if text is not None and Path(text).exists() and not Path(text).is_dir():
        raise ConfigurationError(
            f"BUNDLES_DIR={text!r} is no directory: set it to one, or to a path where one can be made"
        )
    return None if text is None else Path(text).absolute()


def _lease_seconds(reader: EnvironmentReader) -> int:
    seconds = reader.integer("RUNTARA_LEASE_SECS", 12, maximum=600)
    if seconds < _LEAST_LEASE_SECONDS:
        raise ConfigurationError(
            f"RUNTARA_LEASE_SECS={seconds} is too short, for a host that stalls for a moment would lose its work: "
            f"set it to {_LEAST_LEASE_SECONDS} to 600"
        )
    return seconds


def _heartbeat_timeout_seconds(reader: EnvironmentReader) -> int:
    seconds = reader.integer("RUNTARA_HEARTBEAT_TIMEOUT_SECS", 120, maximum=2**31)
    if 0 < seconds < _LEAST_HEARTBEAT_TIMEOUT_SECONDS:
        raise ConfigurationError(
            f"RUNTARA_HEARTBEAT_TIMEOUT_SECS={seconds} is too short, for signs of life may be 40 s apart: "
            f"set it to {_LEAST_HEARTBEAT_TIMEOUT_SECONDS} or more, or to 0 to look for no program that hangs"
        )
    return seconds


def max_input_bytes(reader: EnvironmentReader) -> int:
    """The longest input of a start; raises `ConfigurationError`."""
    return reader.integer(
        "RUNTARA_MAX_INPUT_BYTES", DEFAULT_MAX_INPUT_BYTES, minimum=1024, maximum=MAX_STORED_INPUT_BYTES
    )


def _network_mode(text: str | None) -> NetworkMode | None:
    if text is None:
        return None
    try:
        return NetworkMode("none" if text == "isolated" else text)
    except ValueError:
        raise ConfigurationError(
            f"RUNTARA_NETWORK_MODE={text!r} is no network mode: set it to none (or isolated), host or pasta"
        ) from None


def _served_core(data_dir: Path) -> str | None:
    """The socket of a core for instances, unless that core serves no environments: `runtara dev` has its own."""
    return served_address(data_dir, CORE_SOCKET) if served_address(data_dir, CORE_MANAGEMENT_SOCKET) else None


def _management_address(core_address: str, reader: EnvironmentReader) -> str:
    """Beside the address of instances: the socket in the same directory, or the management port of the same host."""
    port = reader.port("RUNTARA_ADMIN_PORT", 8003)
    if is_local(core_address):
        return format_local_address(parse_local_address(core_address).with_name(CORE_MANAGEMENT_SOCKET))
    host, _, _ = core_address.rpartition(":")
    return f"{host}:{port}"


def _check_address(address: str, setting: str) -> None:
    if is_local(address):
        parse_local_address(address)
        return
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit():
        raise ConfigurationError(f"{setting}={address!r} is neither host:port nor unix:///path")
