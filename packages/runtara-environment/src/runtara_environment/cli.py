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
  RUNTARA_ENVIRONMENT_DATABASE_URL  core's database (RUNTARA_DATABASE_URL when unset)
  RUNTARA_ENV_QUIC_PORT             UDP port for products (8002)
  RUNTARA_BIND_ADDRESS              address of the port (127.0.0.1)
  RUNTARA_CORE_ADDR                 where instances reach core (127.0.0.1:8001)
  RUNTARA_CORE_ADMIN_ADDR           core's management port (host of RUNTARA_CORE_ADDR, RUNTARA_ADMIN_PORT)
  RUNTARA_RUNNER                    native, auto, or the runner of a plugin (auto)
  EXECUTION_TIMEOUT_SECS            bound of a launch whose start names none (300)
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
@click.option("--core", metavar="HOST:PORT", help="Instead of RUNTARA_CORE_ADDR.")
@click.option("--core-admin", metavar="HOST:PORT", help="Instead of RUNTARA_CORE_ADMIN_ADDR.")
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

    Running instances go on without the daemon; the next one on this host takes them over.
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
@click.option("--database-url", metavar="URL", help="Database.  [default: SQLite in the data directory]")
@click.option("--bind", metavar="ADDRESS", help="Instead of RUNTARA_BIND_ADDRESS (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), default=8002, show_default=True, help="Environment's UDP port.")
@click.option("--core-port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="Core's UDP port.")
@click.option("--data-dir", metavar="DIR", type=click.Path(file_okay=False), help="Instead of DATA_DIR (.data).")
def dev(database_url: str | None, bind: str | None, port: int, core_port: int, data_dir: str | None) -> None:
    """Keep core and environment up in one process, until SIGTERM or Ctrl-C.

    Running instances are stopped with it and go on at the next start.
    The variables of `runtara core` and `runtara environment` hold, but for
    the ports, and for addresses by which the two would find each other.
    """
    from pathlib import Path

    from runtara_core.daemon_logging import configure_logging

    from runtara_environment.development import run_development

    configure_logging(default_level="WARNING")
    directory = Path(data_dir or EnvironmentReader().text("DATA_DIR", ".data")).absolute()
    asyncio.run(
        run_development(
            directory,
            database_url or EnvironmentReader().optional_text("RUNTARA_DATABASE_URL"),
            bind_address=bind or EnvironmentReader().text("RUNTARA_BIND_ADDRESS", "127.0.0.1"),
            environment_port=port,
            core_port=core_port,
            on_ready=lambda core, address: click.echo(
                f"core serves instances on {core}, the environment serves on {address}; data in {directory}"
            ),
        )
    )


def main() -> None:
    """Entry point of `runtara-environment`."""
    run_program(environment)
