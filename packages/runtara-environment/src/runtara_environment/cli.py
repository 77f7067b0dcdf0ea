"""`runtara environment` (also `runtara-environment`) and `runtara dev`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
from runtara_sdk.cli.errors import run_program
from runtara_sdk.settings import EnvironmentReader

if TYPE_CHECKING:
    from runtara_environment.daemon import EnvironmentDaemon

_ENVIRONMENT_EPILOG = """\b
Examples:
  RUNTARA_DATABASE_URL=sqlite:///.data/runtara.db runtara-environment
  RUNTARA_DATABASE_URL=postgres://runtara@localhost/runtara RUNTARA_CORE_ADDR=10.0.0.5:8001 runtara-environment

\b
Environment variables:
  RUNTARA_ENVIRONMENT_DATABASE_URL  core's database, or one of its own (RUNTARA_DATABASE_URL when unset)
  RUNTARA_ENV_QUIC_PORT             UDP port for products (8002)
  RUNTARA_BIND_ADDRESS              address of the port (127.0.0.1)
  RUNTARA_CORE_ADDR                 where instances reach core, host:port or unix:///path
                                    (its socket under DATA_DIR when there is one, else 127.0.0.1:8001)
  RUNTARA_CORE_ADMIN_ADDR           core's management port (beside RUNTARA_CORE_ADDR)
  RUNTARA_RUNNER                    native, oci (containers), the runner of a plugin, or auto (auto)
  RUNTARA_NETWORK_MODE              what of the network programs see: none, pasta or host (none in containers)
  RUNTARA_NATIVE_USER               as whom the runner native runs programs (a user for each tenant, if it can)
  RUNTARA_MAX_LAUNCHES_PER_HOST     most programs that this host runs at a time (0: only core's limit counts)
  RUNTARA_HOST_NAME                 what `runtara-ctl hosts` calls this host (the name of the machine)
  RUNTARA_ADVERTISE_ADDRESS         where other hosts reach this environment (where it serves)
  RUNTARA_IMAGE_SOURCES             where images are fetched from that this host lacks (hosts)
  RUNTARA_IMAGE_COPIES              on how many hosts new images are kept (1)
  RUNTARA_ON_SHUTDOWN               drain suspends running instances, leave lets them run on (drain)
  RUNTARA_SHUTDOWN_GRACE_MS         how long they may take to suspend (60000)
  RUNTARA_LEASE_SECS                how long a host may be silent before others take its work (12)
  EXECUTION_TIMEOUT_SECS            bound of a launch whose start names none (300)
  RUNTARA_STDLIB_NAME               module of the bundle that says which agents there are (all installed ones)
  ENABLE_AGENT_TESTING              let products test capabilities of agents on this host (false)
  RUNTARA_MAX_AGENT_TESTS           most tests at a time, of one tenant half of them (4)
  RUNTARA_API_KEY                   operator key for core (`runtara keys create --operator`)
  RUNTARA_CA_FILE                   authority of core's certificate (tls/ca.pem under DATA_DIR)
  RUNTARA_SERVER_NAME               name in core's certificate (localhost)
  RUNTARA_TLS_CERT_FILE, _KEY_FILE  certificate and key to show (made under DATA_DIR)
  RUNTARA_SERVER_NAMES              further names in the certificate that is made
  RUNTARA_SKIP_CERT_VERIFICATION    trust any certificate of core (false)
  DATA_DIR                          images, run directories, certificates (.data)
  RUNTARA_LOG                       debug, info, warning or error (info)
"""

_DEV_EPILOG = """\b
Examples:
  runtara dev
  runtara dev --data-dir /tmp/play --port 9002
  runtara-ctl list-instances        (from another terminal, in the same directory)
"""

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.command(
    name="environment",
    short_help="Run the environment daemon: images, launches, wakes.",
    context_settings=_CONTEXT,
    epilog=_ENVIRONMENT_EPILOG,
)
@click.option("--database-url", metavar="URL", help="Instead of RUNTARA_ENVIRONMENT_DATABASE_URL.")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of RUNTARA_ENV_QUIC_PORT.")
@click.option("--bind", metavar="ADDRESS", help="Instead of RUNTARA_BIND_ADDRESS.")
@click.option("--core", metavar="ADDRESS", help="Instead of RUNTARA_CORE_ADDR.")
@click.option("--core-admin", metavar="ADDRESS", help="Instead of RUNTARA_CORE_ADMIN_ADDR.")
@click.option("--data-dir", metavar="DIR", type=click.Path(file_okay=False), help="Instead of DATA_DIR.")
def environment(
    database_url: str | None,
    port: int | None,
    bind: str | None,
    core: str | None,
    core_admin: str | None,
    data_dir: str | None,
) -> None:
    """Keep images, launch instances and watch over them, until SIGTERM or Ctrl-C.

    Running instances are told to suspend then, and go on where another
    environment claims them, or here after the next start. A second signal
    leaves them running; the next daemon on this host takes them over.
    """
    from runtara_core.daemon_logging import configure_logging

    from runtara_environment.daemon import run_environment
    from runtara_environment.settings import EnvironmentSettings

    configure_logging()
    settings = EnvironmentSettings.from_environment(
        EnvironmentReader.of_process(
            RUNTARA_ENVIRONMENT_DATABASE_URL=database_url,
            RUNTARA_ENV_QUIC_PORT=port,
            RUNTARA_BIND_ADDRESS=bind,
            RUNTARA_CORE_ADDR=core,
            RUNTARA_CORE_ADMIN_ADDR=core_admin,
            DATA_DIR=data_dir,
        )
    )
    asyncio.run(run_environment(settings, _announce))


def _announce(daemon: EnvironmentDaemon) -> None:
    click.echo(f"environment serves on {daemon.address}")


@click.command(
    name="dev",
    short_help="Run core and environment in one process.",
    context_settings=_CONTEXT,
    epilog=_DEV_EPILOG,
)
@click.option(
    "--database-url",
    metavar="URL",
    help="Database.  [default: RUNTARA_DATABASE_URL, else SQLite in the data directory]",
)
@click.option("--bind", metavar="ADDRESS", help="Open UDP ports at this address, too.  [with a port: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Open UDP ports, too; the environment's.  [8002]")
@click.option("--core-port", type=click.IntRange(0, 65535), help="Open UDP ports, too; core's.  [8001]")
@click.option("--data-dir", metavar="DIR", type=click.Path(file_okay=False), help="Instead of DATA_DIR (.data).")
def dev(
    database_url: str | None, bind: str | None, port: int | None, core_port: int | None, data_dir: str | None
) -> None:
    """Keep core and environment up in one process, until SIGTERM or Ctrl-C.

    Running instances are stopped with it and go on at the next start.
    Programs of this machine reach the two by local sockets in the data
    directory; other machines by ports, which are opened when asked for.
    The variables of `runtara core` and `runtara environment` hold, but for
    the ports, and for addresses by which the two would find each other.
    """
    from pathlib import Path

    from runtara_core.daemon_logging import configure_logging

    from runtara_environment.development import run_development

    configure_logging(default_level="WARNING")
    reader = EnvironmentReader()
    bind = bind or reader.optional_text("RUNTARA_BIND_ADDRESS")
    if bind is None and (port is not None or core_port is not None):
        bind = "127.0.0.1"
    directory = Path(data_dir or reader.text("DATA_DIR", ".data")).absolute()
    asyncio.run(
        run_development(
            directory,
            database_url or reader.optional_text("RUNTARA_DATABASE_URL"),
            bind_address=bind,
            environment_port=8002 if port is None else port,
            core_port=8001 if core_port is None else core_port,
            on_ready=lambda core, address: click.echo(
                f"core serves instances on {core}, the environment serves on {address}; data in {directory}"
            ),
        )
    )


def main() -> None:
    """Entry point of `runtara-environment`."""
    run_program(environment)
