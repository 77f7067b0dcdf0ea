"""`runtara core`, and the same as `runtara-core`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
from runtara_sdk.cli.errors import run_program
from runtara_sdk.settings import EnvironmentReader

if TYPE_CHECKING:
    from runtara_core.daemon import CoreDaemon

_EPILOG = """\b
Examples:
  RUNTARA_DATABASE_URL=sqlite:///.data/runtara.db runtara-core
  RUNTARA_DATABASE_URL=postgres://runtara@localhost/runtara runtara-core --bind 0.0.0.0

\b
Environment variables:
  RUNTARA_DATABASE_URL              postgres:// or sqlite:// (required)
  RUNTARA_DB_POOL_SIZE              connections to PostgreSQL (16)
  RUNTARA_DB_REQUEST_TIMEOUT_MS     longest wait for one statement of PostgreSQL (30000)
  RUNTARA_QUIC_PORT                 UDP port for instances (8001)
  RUNTARA_ADMIN_PORT                UDP port for environments (8003)
  RUNTARA_BIND_ADDRESS              address of both ports (127.0.0.1)
  RUNTARA_SERVER_NAMES              further names in the server certificate
  RUNTARA_TLS_CERT_FILE, _KEY_FILE  certificate and key to show (made under DATA_DIR)
  RUNTARA_MAX_CONCURRENT_INSTANCES  instances that may run at a time (32)
  RUNTARA_DB_CLEANUP_ENABLED        remove finished instances (true)
  RUNTARA_DB_CLEANUP_MAX_AGE_DAYS   how long they stay (3)
  DATA_DIR                          where the certificates are (.data)
  RUNTARA_LOG                       debug, info, warning or error (info)

Without an API key (`runtara keys`) only loopback addresses are served.
"""


@click.command(
    name="core",
    short_help="Run the core daemon: checkpoints, signals, sleeps.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=_EPILOG,
)
@click.option("--database-url", metavar="URL", help="Instead of RUNTARA_DATABASE_URL.")
@click.option("--port", type=click.IntRange(0, 65535), help="Instead of RUNTARA_QUIC_PORT.")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="Instead of RUNTARA_ADMIN_PORT.")
@click.option("--bind", metavar="ADDRESS", help="Instead of RUNTARA_BIND_ADDRESS.")
@click.option("--data-dir", metavar="DIR", type=click.Path(file_okay=False), help="Instead of DATA_DIR.")
def core(
    database_url: str | None, port: int | None, admin_port: int | None, bind: str | None, data_dir: str | None
) -> None:
    """Keep the durable state of instances and serve it on two UDP ports, until SIGTERM or Ctrl-C."""
    from runtara_core.daemon import run_core
    from runtara_core.daemon_logging import configure_logging
    from runtara_core.settings import CoreSettings

    configure_logging()
    settings = CoreSettings.from_environment(
        EnvironmentReader.of_process(
            RUNTARA_DATABASE_URL=database_url,
            RUNTARA_QUIC_PORT=port,
            RUNTARA_ADMIN_PORT=admin_port,
            RUNTARA_BIND_ADDRESS=bind,
            DATA_DIR=data_dir,
        )
    )
    asyncio.run(run_core(settings, _announce))


def _announce(daemon: CoreDaemon) -> None:
    click.echo(f"core serves instances on {daemon.instance_address} and environments on port {daemon.management_port}")


def main() -> None:
    """Entry point of `runtara-core`."""
    run_program(core)
