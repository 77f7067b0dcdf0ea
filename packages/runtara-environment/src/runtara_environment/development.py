"""`runtara dev`: core and environment in one process, with the environment's port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from runtara_core.daemon import until_stopped
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport import ServerSettings
from runtara_sdk.transport.quic import serve_quic

from runtara_environment.local import local_environment
from runtara_environment.settings import SupervisionSettings
from runtara_environment.wire.handler import EnvironmentHandler
from runtara_environment.wire.tenant_gate import TenantGate

_CLOSE_GRACE_SECONDS = 5.0


async def run_development(
    data_dir: Path,
    database_url: str | None,
    *,
    bind_address: str,
    environment_port: int,
    core_port: int,
    on_ready: Callable[[str, str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the addresses of core and environment."""
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
    settings = SupervisionSettings.from_environment()
    async with local_environment(data_dir, database_url, settings, bind_address=bind_address, core_port=core_port) as (
        core,
        environment,
    ):
        server = await serve_quic(
            EnvironmentHandler(environment.service, TenantGate(core.keys)).handle_stream,
            ServerSettings.from_environment(
                EnvironmentReader(), host=bind_address, port=environment_port, port_setting="--port"
            ),
            core.identity.tls,
        )
        try:
            await environment.start()
            on_ready(core.instance_address, server.address)
            await until_stopped()
        finally:
            await server.close(_CLOSE_GRACE_SECONDS)
