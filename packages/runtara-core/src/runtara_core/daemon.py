"""The core daemon: the only place that wires storage, services and servers together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from runtara_sdk.clock import Clock, SystemClock
from runtara_sdk.stop_signals import stop_at_signals
from runtara_sdk.transport import payload_handler, upload_handler
from runtara_sdk.transport.local import remove_guest_directory
from runtara_sdk.transport.places import CORE_MANAGEMENT_SOCKET, CORE_SOCKET, socket_path

from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.lease_grace import LeaseGrace
from runtara_core.listening import Listening, MakeHandler, server_settings
from runtara_core.management_service import ManagementService
from runtara_core.retention import keep_removing_finished
from runtara_core.security import KeyRing, TokenAuthority, require_key_when_exposed
from runtara_core.server_identity import IdentitySource, ServerIdentity
from runtara_core.settings import CoreSettings
from runtara_core.signal_watch import DEFAULT_MAX_HELD, SignalWatch
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_core.wire.instance_gate import InstanceGate
from runtara_core.wire.instance_handler import InstanceHandler
from runtara_core.wire.management_handler import ManagementHandler

logger = logging.getLogger(__name__)


class CoreDaemon:
    """Core, running: `start` opens the database and the ports, `close` ends both.

    Attributes:
        identity_source: where the certificate of its ports comes from.

    Attributes (after `start`):
        management: the management verbs, for callers in this process.
        keys: the API keys that are good now.
    """

    management: ManagementService
    keys: KeyRing

    def __init__(
        self,
        settings: CoreSettings,
        *,
        clock: Clock | None = None,
        serve_management: bool = True,
        instance_port_setting: str = "RUNTARA_QUIC_PORT",
        socket_name: str = CORE_SOCKET,
    ) -> None:
        """Prepare a daemon.

        Args:
            settings: what it needs to start.
            clock: the time.
            serve_management: whether environments in other processes are served.
            instance_port_setting: by which the user sets the port of instances; errors name it.
            socket_name: of the local socket for instances, under the data directory.
        """
        self._settings = settings
        self._instance_port_setting = instance_port_setting
        self._socket_name = socket_name
        self._clock = clock or SystemClock()
        self._serve_management = serve_management
        self._storage: Storage | None = None
        self._watch: SignalWatch | None = None
        self.identity_source = IdentitySource(settings.data_dir, settings.server_names, settings.tls)
        self._listening = Listening(settings.bind_address, self.identity_source, self._clock)
        self._removing: asyncio.Task[None] | None = None

    @property
    def identity(self) -> ServerIdentity:
        """The certificate that both ports show, and what clients need in order to trust it."""
        return self._listening.identity

    @property
    def instance_address(self) -> str:
        """`host:port` where instances on this host reach core; the local address when there are no ports."""
        return self._listening.address

    @property
    def local_address(self) -> str | None:
        """`unix://` and the path of the socket for instances of this host; None when another core serves there."""
        return self._listening.sockets[0].address if self._listening.sockets else None

    @property
    def management_port(self) -> int | None:
        """The bound management port; None when it is not served."""
        return self._listening.ports[1].port if len(self._listening.ports) > 1 else None

    @property
    def polls_held(self) -> int:
        """Number of polls for signals that are held now."""
        return self._watch.held if self._watch is not None else 0

    @property
    def polls_waiting(self) -> int:
        """Those of them that have looked, and would be ended by news."""
        return self._watch.waiting if self._watch is not None else 0

    async def start(self) -> None:
        """Open everything, or nothing: a failure closes what was opened and raises a `RuntaraError`."""
        settings = self._settings
        await self._listening.prepare()
        storage = await open_storage(settings.database_url)
        try:
            await storage.open()
            self._storage = storage
            exposed = await require_key_when_exposed(settings.bind_address, storage.credentials)
            self.keys = KeyRing(storage.credentials, self._clock, always_required=exposed)
            tokens = TokenAuthority(storage.credentials, self._clock)
            due = DueBell()
            watch = SignalWatch(storage, self._clock, max_held=self._most_held_polls())
            self._watch = watch
            grace = LeaseGrace(self._clock, is_new=True)
            self.management = ManagementService(storage, self._clock, settings.limits, due, tokens, watch, grace)
            instances = InstanceService(storage, self._clock, settings.limits, due, watch)
            handler = InstanceHandler(instances, InstanceGate(instances, tokens, self.keys))
            await self._listen(
                lambda server: payload_handler(handler.dispatcher.serve, server),
                settings.instance_port,
                self._instance_port_setting,
                self._socket_name,
                for_guests=True,
            )
            if self._serve_management:
                management = ManagementHandler(self.management, self.keys)
                await self._listen(
                    lambda server: upload_handler(management.serve, server),
                    settings.management_port,
                    "RUNTARA_ADMIN_PORT",
                    CORE_MANAGEMENT_SOCKET,
                )
            self._listening.follow_certificate()
            if settings.retention.enabled:
                self._removing = asyncio.create_task(
                    keep_removing_finished(storage, self._clock, settings.retention), name="remove finished instances"
                )
        except BaseException:
            await self.close()
            raise

    def _most_held_polls(self) -> int:
        # Half of the handlers stay free for calls that do something.
        max_handlers = server_settings(None, 0, "").max_handlers
        return min(DEFAULT_MAX_HELD, max_handlers // 2) if max_handlers else DEFAULT_MAX_HELD

    async def _listen(
        self,
        make_handler: MakeHandler,
        port: int,
        setting: str,
        socket_name: str,
        *,
        for_guests: bool = False,
    ) -> None:
        await self._listening.open_port(make_handler, port, setting)
        path = socket_path(self._settings.data_dir, socket_name)
        await self._listening.open_socket(
            make_handler, path, for_guests=for_guests, guest_users=self._settings.guest_users
        )

    async def close(self) -> None:
        """Stop serving, let calls in flight finish for a moment, close the database."""
        removing, self._removing = self._removing, None
        if removing is not None:
            removing.cancel()
            await asyncio.gather(removing, return_exceptions=True)
        if self._watch is not None:
            await self._watch.close()
            self._watch = None
        await self._listening.close()
        if self._socket_name != CORE_SOCKET:  # nobody else will serve there
            await asyncio.to_thread(remove_guest_directory, socket_path(self._settings.data_dir, self._socket_name))
        if self._storage is not None:
            await self._storage.close()
            self._storage = None


async def run_core(settings: CoreSettings, on_ready: Callable[[CoreDaemon], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    daemon = CoreDaemon(settings)
    await daemon.start()
    try:
        on_ready(daemon)
        await until_stopped()
        logger.info("stopping")
    finally:
        await daemon.close()


async def until_stopped() -> None:
    """Return at SIGTERM, SIGINT or SIGHUP; until the loop ends, further ones are held off for a few seconds."""
    stop = asyncio.Event()
    stop_at_signals(stop.set)
    await stop.wait()
