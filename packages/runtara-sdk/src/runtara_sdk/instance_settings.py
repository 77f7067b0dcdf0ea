"""Settings of a program that runs as an instance; the one place that knows the names of its variables."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.address import is_local
from runtara_sdk.transport.places import CORE_SOCKET, served_address

_DEFAULT_SERVER = "127.0.0.1:8001"
_THRESHOLD_UNITS_MS = {"ms": 1, "s": 1000}


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """What an instance needs to reach the store of its durable state.

    Attributes:
        instance_id: which instance this program advances (RUNTARA_INSTANCE_ID).
        tenant_id: owner of the instance (RUNTARA_TENANT_ID).
        server_addr: where core is: `host:port`, `unix:///path` of a socket of this machine, or a database URL such as
            `sqlite:///run.db` for the embedded mode without a daemon (RUNTARA_SERVER_ADDR).
        server_name: name that core's certificate must carry (RUNTARA_SERVER_NAME).
        skip_cert_verification: accept any certificate (RUNTARA_SKIP_CERT_VERIFICATION).
        ca_file: authority that signs core's certificate; None stands for the system's authorities (RUNTARA_CA_FILE).
        launch_epoch: number of this launch, given by the environment that launched the program; None when the program
            was started by hand, in which case nobody starts it again after a suspension (RUNTARA_LAUNCH_EPOCH).
        checkpoint_id: last checkpoint before this launch, told to core at registration (RUNTARA_CHECKPOINT_ID).
        connect_timeout_ms: bound of one attempt to connect, milliseconds (RUNTARA_CONNECT_TIMEOUT_MS).
        request_timeout_ms: bound of one attempt of a call, milliseconds (RUNTARA_REQUEST_TIMEOUT_MS).
        reconnect_deadline_ms: how long a call goes on trying while core is away, milliseconds
            (RUNTARA_RECONNECT_DEADLINE_MS).
        signal_poll_interval_ms: shortest time between two polls for signals, milliseconds
            (RUNTARA_SIGNAL_POLL_INTERVAL_MS).
        heartbeat_interval_ms: time between heartbeats, milliseconds; 0 sends none (RUNTARA_HEARTBEAT_INTERVAL_MS).
        sleep_threshold_ms: sleeps with more than this left end the process instead of waiting in it, milliseconds
            (RUNTARA_SLEEP_THRESHOLD, written in seconds such as `30` or `0.5`, or with a unit: `500ms`, `30s`).
        auto_retry_on_429: wait for rate limits without using up retries, within the call's budget (AUTO_RETRY_ON_429).
        max_retry_delay_ms: cap of every wait between two attempts, milliseconds (MAX_RETRY_DELAY_MS).
        instance_token: proves this launch to core, given by the environment with the launch
            (RUNTARA_INSTANCE_TOKEN).
        api_key: key of the tenant, for a program that was started by hand where core has keys (RUNTARA_API_KEY).
    """

    instance_id: str
    tenant_id: str
    server_addr: str = _DEFAULT_SERVER
    server_name: str = "localhost"
    skip_cert_verification: bool = False
    ca_file: Path | None = None
    launch_epoch: int | None = None
    checkpoint_id: str | None = None
    connect_timeout_ms: int = 10_000
    request_timeout_ms: int = 30_000
    reconnect_deadline_ms: int = 120_000
    signal_poll_interval_ms: int = 1_000
    heartbeat_interval_ms: int = 30_000
    sleep_threshold_ms: int = 30_000
    auto_retry_on_429: bool = True
    max_retry_delay_ms: int = 3_600_000
    instance_token: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("instance_id", "tenant_id"):
            if not getattr(self, name):
                raise ConfigurationError(f"{name} is empty: give the id of the {name.removesuffix('_id')}")
        if self.checkpoint_id == "":
            raise ConfigurationError("checkpoint_id is empty: give an id, or None")

    @property
    def is_embedded(self) -> bool:
        """Whether `server_addr` is a database URL rather than the address of a daemon."""
        return "://" in self.server_addr and not is_local(self.server_addr)

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> InstanceSettings:
        """Read the variables; raises `ConfigurationError` naming what is missing or wrong."""
        reader = reader or EnvironmentReader()
        epoch = reader.integer("RUNTARA_LAUNCH_EPOCH", -1)
        return cls(
            instance_id=reader.required_text("RUNTARA_INSTANCE_ID", "set it to the id of the instance to run"),
            tenant_id=reader.required_text("RUNTARA_TENANT_ID", "set it to the tenant that owns the instance"),
            server_addr=reader.optional_text("RUNTARA_SERVER_ADDR") or _default_server(reader),
            server_name=reader.text("RUNTARA_SERVER_NAME", "localhost"),
            skip_cert_verification=reader.boolean("RUNTARA_SKIP_CERT_VERIFICATION", default=False),
            ca_file=ca_file_from_environment(reader),
            launch_epoch=epoch if epoch >= 0 else None,
            instance_token=reader.optional_text("RUNTARA_INSTANCE_TOKEN"),
            api_key=reader.optional_text("RUNTARA_API_KEY"),
            checkpoint_id=reader.optional_text("RUNTARA_CHECKPOINT_ID"),
            connect_timeout_ms=reader.integer("RUNTARA_CONNECT_TIMEOUT_MS", 10_000, minimum=1),
            request_timeout_ms=reader.integer("RUNTARA_REQUEST_TIMEOUT_MS", 30_000, minimum=1),
            reconnect_deadline_ms=reader.integer("RUNTARA_RECONNECT_DEADLINE_MS", 120_000),
            signal_poll_interval_ms=reader.integer("RUNTARA_SIGNAL_POLL_INTERVAL_MS", 1_000, minimum=1),
            heartbeat_interval_ms=reader.integer("RUNTARA_HEARTBEAT_INTERVAL_MS", 30_000),
            sleep_threshold_ms=_threshold_ms(reader),
            auto_retry_on_429=reader.boolean("AUTO_RETRY_ON_429", default=True),
            max_retry_delay_ms=reader.integer("MAX_RETRY_DELAY_MS", 3_600_000),
        )

    @classmethod
    def localhost(cls, instance_id: str, tenant_id: str) -> InstanceSettings:
        """Settings for a core on this machine: its socket under DATA_DIR when there is one, else its default port.

        The daemons' own authority is pinned where it can be found (RUNTARA_CA_FILE, else under DATA_DIR); without it
        the certificate is not verified, as nothing leaves the machine.
        """
        reader = EnvironmentReader()
        ca_file = ca_file_from_environment(reader)
        return cls(
            instance_id,
            tenant_id,
            _default_server(reader),
            ca_file=ca_file,
            skip_cert_verification=ca_file is None,
            api_key=reader.optional_text("RUNTARA_API_KEY"),
        )


def _default_server(reader: EnvironmentReader) -> str:
    return served_address(data_dir_from_environment(reader), CORE_SOCKET) or _DEFAULT_SERVER


def data_dir_from_environment(reader: EnvironmentReader) -> Path:
    """DATA_DIR, where the daemons of this machine keep what their clients need."""
    return Path(reader.text("DATA_DIR", ".data"))


def ca_file_from_environment(reader: EnvironmentReader) -> Path | None:
    """RUNTARA_CA_FILE, else the authority that daemons keep under DATA_DIR when it exists, else None."""
    named = reader.optional_text("RUNTARA_CA_FILE")
    if named is not None:
        if not Path(named).is_file():
            raise ConfigurationError(f"RUNTARA_CA_FILE={named!r} is not a file: give the ca.pem of the daemons")
        return Path(named)
    default = data_dir_from_environment(reader) / "tls" / "ca.pem"
    return default if default.is_file() else None


def _threshold_ms(reader: EnvironmentReader) -> int:
    text = reader.text("RUNTARA_SLEEP_THRESHOLD", "30")
    number, factor = text.strip(), 1000
    for unit, unit_ms in _THRESHOLD_UNITS_MS.items():
        if number.endswith(unit):
            number, factor = number.removesuffix(unit), unit_ms
            break
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value * factor <= 2**53:
        raise ConfigurationError(f"RUNTARA_SLEEP_THRESHOLD={text!r} is not a time: write 30, 0.5, 30s or 500ms")
    return round(value * factor)
