"""The environment daemon: the only place that wires an environment to a remote core and to its port."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtara_core.database import create_database
from runtara_core.listening import Listening
from runtara_core.management_client import ManagementClient
from runtara_core.security import KeyRing, require_key_when_exposed
from runtara_core.server_identity import IdentitySource
from runtara_core.storages.sql.credentials import SqlCredentialStore
from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.management.settings import ManagementSettings
from runtara_sdk.stop_signals import stop_at_signals
from runtara_sdk.transport import open_client
from runtara_sdk.transport.places import ENVIRONMENT_SOCKET, socket_path

from runtara_environment.agents import AgentServices
from runtara_environment.environment import Environment
from runtara_environment.fetching.peer import OpenPeer, Peer
from runtara_environment.settings import EnvironmentSettings, OnShutdown
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision.guest import CoreAccess
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.wire.handler import EnvironmentHandler
from runtara_environment.wire.tenant_gate import TenantGate

logger = logging.getLogger(__name__)

_PEER_CONNECT_MS = 5_000


class EnvironmentDaemon:
    """An environment, running: `start` opens database and port, `close` ends both and leaves the guests running."""

    def __init__(self, settings: EnvironmentSettings, *, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._environment: Environment | None = None
        self._agents: AgentServices | None = None
        self._core: ManagementClient | None = None
        self._listening = Listening(
            settings.bind_address, IdentitySource(settings.data_dir, settings.server_names, settings.tls), self._clock
        )

    @property
    def address(self) -> str:
        """`host:port` of the environment protocol; the local address when there is no port."""
        return self._listening.address

    async def start(self) -> None:
        """Open everything, or nothing: a failure closes what was opened and raises a `RuntaraError`.

        Core need not be up yet: calls fail with a retryable error, and launches wait, until it is.
        """
        settings = self._settings
        await self._listening.prepare()
        ca_file = settings.ca_file
        if ca_file is None and settings.bind_address is not None:
            ca_file = self._listening.identity.ca_path
        verify = not settings.supervision.skip_certificate_verification
        self._core = ManagementClient(
            open_client(
                settings.core_management_address,
                server_name=settings.server_name,
                ca_file=ca_file,
                verify=verify,
            ),
            api_key=settings.api_key,
        )
        database = create_database(settings.database_url, environment_queries())
        credentials = SqlCredentialStore(database)
        network = GuestNetwork.with_keys(KeyRing(credentials, self._clock))
        environment = Environment(
            database,
            self._core,
            CoreAccess(
                address=settings.core_address,
                further_addresses=settings.further_core_addresses,
                ca_file=ca_file,
                server_name=settings.server_name,
                skip_certificate_verification=not verify,
            ),
            settings.data_dir,
            self._clock,
            settings.supervision,
            network=network,
            max_input_bytes=settings.max_input_bytes,
            input_checks=settings.input_checks,
            registry_settings=settings.registry,
            host=settings.host,
            images=settings.images,
            open_peer=self._open_peer(ca_file, verify=verify),
        )
        self._environment = environment
        try:
            await environment.open()
            self._agents = AgentServices(settings.data_dir, network, settings.agent_testing, environment.call_runners)
            await self._agents.open()
            if environment.isolation == "none":
                logger.warning("instances run as plain processes of this user, isolation: none")
            else:
                logger.info("instances are isolated by: %s", environment.isolation)
            exposed = await require_key_when_exposed(settings.bind_address, credentials)
            keys = KeyRing(credentials, self._clock, always_required=exposed)
            handler = EnvironmentHandler(environment.service, self._agents, TenantGate(keys)).handle_stream
            await self._listening.open_port(lambda _: handler, settings.port, "RUNTARA_ENV_QUIC_PORT")
            await self._listening.open_socket(lambda _: handler, socket_path(settings.data_dir, ENVIRONMENT_SOCKET))
            self._listening.follow_certificate()
            await environment.start(self._listening.address)
        except BaseException:
            await self.close()
            raise

    def _open_peer(self, ca_file: Path | None, *, verify: bool) -> OpenPeer:
        """The way to other hosts, whose certificates are of the same authority as core's."""
        settings = self._settings
        shared = ManagementSettings(
            server_name=settings.server_name,
            ca_file=ca_file,
            skip_cert_verification=not verify,
            connect_timeout_ms=_PEER_CONNECT_MS,
            api_key=settings.api_key,
        )
        return lambda address: Peer(replace(shared, server_addr=address))

    async def drain(self) -> None:
        """Let what runs suspend, while calls are served, for as long as the settings say."""
        if self._environment is not None:
            left = await self._environment.drain(self._settings.host.shutdown_grace_ms / 1000)
            if left:
                logger.error("%d launches could not be ended; the next environment of this host looks after them", left)

    async def close(self) -> None:
        """Stop serving and supervising; guests that still run are adopted by the next daemon."""
        if self._agents is not None:
            await self._agents.close()
            self._agents = None
        await self._listening.close()
        if self._environment is not None:
            await self._environment.close(stop_guests=False)
            self._environment = None
        if self._core is not None:
            await self._core.close()
            self._core = None


async def run_environment(settings: EnvironmentSettings, on_ready: Callable[[EnvironmentDaemon], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain if the settings say so; a second signal leaves at once."""
    daemon = EnvironmentDaemon(settings)
    await daemon.start()
    try:
        on_ready(daemon)
        told, insists = asyncio.Event(), asyncio.Event()
        stop_at_signals(told.set, insist=insists.set)
        await told.wait()
        if settings.host.on_shutdown is OnShutdown.DRAIN:
            logger.info("stopping: running instances are told to suspend; a second signal leaves them running")
            await _until_either(daemon.drain(), insists)
        else:
            logger.info("stopping; running instances go on")
    finally:
        await daemon.close()


async def _until_either(work: Coroutine[Any, Any, None], event: asyncio.Event) -> None:
    """Do a piece of work; it is given up when the event comes first."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    waiting.cancel()
    for outcome in await asyncio.gather(working, waiting, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
