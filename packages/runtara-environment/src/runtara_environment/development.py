"""`runtara dev`: core and environment in one process, on local sockets and, when asked for, on ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from runtara_core.daemon import until_stopped
from runtara_core.listening import Listening
from runtara_core.security.exposure import is_loopback_only
from runtara_sdk.clock import SystemClock
from runtara_sdk.transport.places import ENVIRONMENT_SOCKET, socket_path

from runtara_environment.agents import AgentServices
from runtara_environment.local import local_environment
from runtara_environment.settings import AgentTestingSettings, RegistrySettings, SupervisionSettings
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.wire.handler import EnvironmentHandler
from runtara_environment.wire.tenant_gate import TenantGate


async def run_development(
    data_dir: Path,
    database_url: str | None,
    *,
    bind_address: str | None,
    environment_port: int,
    core_port: int,
    on_ready: Callable[[str, str], None],
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the addresses of core and environment.

    Without a `bind_address` the two serve local sockets alone.
    """
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True)
    settings = SupervisionSettings.from_environment()
    testing = AgentTestingSettings.from_environment(
        # Whoever develops runs what is installed anyway; an address that others reach is no longer development.
        enabled=bind_address is None or await is_loopback_only(bind_address)
    )
    registry_settings = RegistrySettings.from_environment()
    async with local_environment(
        data_dir,
        database_url,
        settings,
        bind_address=bind_address,
        core_port=core_port,
        registry_settings=registry_settings,
    ) as (core, environment):
        agents = AgentServices(data_dir.absolute(), GuestNetwork(), testing, environment.call_runners)
        await agents.open()
        listening = Listening(bind_address, core.identity_source, SystemClock())
        handler = EnvironmentHandler(environment.service, agents, TenantGate(core.keys)).handle_stream
        try:
            await listening.prepare()
            await listening.open_port(lambda _: handler, environment_port, "--port")
            await listening.open_socket(lambda _: handler, socket_path(data_dir, ENVIRONMENT_SOCKET))
            listening.follow_certificate()
            await environment.start(listening.address)
            on_ready(core.instance_address, listening.address)
            await until_stopped()
        finally:
            await agents.close()
            await listening.close()
