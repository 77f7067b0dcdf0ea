"""An environment without its port: registry, runner, launch table and supervisor on one core.

The daemon puts the QUIC port in front of it; the one-process mode uses it as it is.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from runtara_core.database import Database
from runtara_core.management import CoreManagement
from runtara_sdk.clock import Clock
from runtara_sdk.errors import ConfigurationError

import runtara_environment
from runtara_environment import migrations
from runtara_environment.agents.launched_call_host import CallRunners
from runtara_environment.data_directory_lock import DataDirectoryLock
from runtara_environment.data_directory_modes import secure_data_directory
from runtara_environment.fetching import ArtifactFetcher
from runtara_environment.fetching.copies import ArtifactCopies
from runtara_environment.fetching.copies_upkeep import CopiesUpkeep
from runtara_environment.fetching.exchange import ArtifactExchange
from runtara_environment.fetching.needed import NeededArtifacts
from runtara_environment.fetching.peer import OpenPeer
from runtara_environment.fetching.places import artifact_sources
from runtara_environment.fetching.transfers import ArtifactTransfers
from runtara_environment.hosts import HostIdentity, HostTable
from runtara_environment.hosts.host_service import HostService
from runtara_environment.hosts.presence import HostPresence
from runtara_environment.hosts.remote_stop import RemoteStop
from runtara_environment.inputs.input_judge import InputJudge
from runtara_environment.launch_rules import LaunchRules
from runtara_environment.launch_table import LaunchTable
from runtara_environment.logs import InstanceLogs
from runtara_environment.logs.elsewhere import LogsElsewhere
from runtara_environment.owner import Owner
from runtara_environment.registry import ImageRegistry, SignaturePolicy
from runtara_environment.runner import RunnerHost
from runtara_environment.runners.available import AvailableRunners, ReadyRunner
from runtara_environment.runners.choosing import check_settings, choose_network, choose_runner
from runtara_environment.runners.guest_user_choice import may_have_users
from runtara_environment.runners.loading import load_runners
from runtara_environment.service import EnvironmentService
from runtara_environment.settings import (
    DEFAULT_MAX_INPUT_BYTES,
    HostSettings,
    ImageSettings,
    InputCheckSettings,
    RegistrySettings,
    SupervisionSettings,
)
from runtara_environment.supervision.guest import CoreAccess
from runtara_environment.supervision.guest_network import GuestNetwork
from runtara_environment.supervision.launcher import Launcher
from runtara_environment.supervision.supervisor import Supervisor
from runtara_environment.supervision.workspaces import Workspaces
from runtara_environment.upkeep import Upkeep

logger = logging.getLogger(__name__)


class Environment:
    """Images, launches and their supervision.

    Attributes (after `open`):
        service: the environment's verbs.
        registry: the images.
        isolation: what the chosen runner isolates, as a word for people.
        call_runners: how tests of capabilities are launched.
    """

    service: EnvironmentService
    registry: ImageRegistry
    isolation: str
    call_runners: CallRunners

    def __init__(
        self,
        database: Database,
        core: CoreManagement,
        core_access: CoreAccess,
        data_dir: Path,
        clock: Clock,
        settings: SupervisionSettings,
        *,
        network: GuestNetwork | None = None,
        trusts_programs: bool = False,
        max_input_bytes: int = DEFAULT_MAX_INPUT_BYTES,
        input_checks: InputCheckSettings | None = None,
        registry_settings: RegistrySettings | None = None,
        host: HostSettings | None = None,
        images: ImageSettings | None = None,
        open_peer: OpenPeer | None = None,
    ) -> None:
        """Of the arguments one is not obvious.

        trusts_programs: the programs are those of whoever runs this process, and need not be kept from its files.
        """
        self._database = database
        self._core = core
        self._core_access = core_access
        self._data_dir = data_dir
        self._clock = clock
        self._settings = settings
        self._network = network
        self._bundles_directory = settings.bundles_directory or data_dir / "bundles"
        self._runner_host = RunnerHost(data_dir, trusts_programs, self._bundles_directory)
        self._max_input_bytes = max_input_bytes
        self._input_checks = input_checks or InputCheckSettings()
        self._registry_settings = registry_settings or RegistrySettings()
        self._host = host or HostSettings()
        self._images = images or ImageSettings()
        self._open_peer = open_peer
        self._fetcher: ArtifactFetcher | None = None
        self._presence: HostPresence | None = None
        self._supervisor: Supervisor | None = None
        self._workspaces: Workspaces | None = None
        self._upkeep: Upkeep | None = None
        self._lock: DataDirectoryLock | None = None

    async def open(self, *, only_instance: str | None = None) -> None:
        """Connect, migrate, choose the runner. Claims nothing yet; `start` does.

        Raises `ConfigurationError` when the runner asked for is not available, or another environment has the data
        directory. One that looks after `only_instance` alone shares it.
        """
        if only_instance is None:
            self._lock = DataDirectoryLock.acquire(self._data_dir)
        await self._database.open()
        await migrations.run(self._database)
        await asyncio.to_thread(self._secure_data_directory)
        runners = load_runners()
        settings = self._settings
        check_settings(runners, settings.image_runners)
        runner, probe = await choose_runner(
            settings.runner, runners, prefer_containers=settings.network is not None, host=self._runner_host
        )
        self.isolation = probe.isolation
        self.registry = ImageRegistry(
            self._database,
            self._data_dir,
            clock=self._clock,
            max_artifact_bytes=self._registry_settings.max_image_bytes,
            signatures=await asyncio.to_thread(SignaturePolicy.of, self._registry_settings.public_keys),
        )
        launches = LaunchTable(self._database)
        hosts = HostTable(self._database)
        owner = Owner.of_this_process(self._data_dir)
        sources = artifact_sources(
            self._images.sources if only_instance is None else (),
            database=self._database,
            hosts=hosts,
            own_host_id=owner.host_id,
            open_peer=self._open_peer,
            clock=self._clock,
        )
        fetcher = ArtifactFetcher(self.registry.artifacts, sources, self._publish_artifacts, self._clock)
        self._fetcher = fetcher
        core_address = self._core_access.address
        own = ReadyRunner(runner, probe, choose_network(settings.network, runner, probe, core_address))
        available = AvailableRunners(
            runners,
            own,
            self._clock,
            network=settings.network,
            core_address=core_address,
            nameable=settings.image_runners,
            host=self._runner_host,
        )
        self._runners = available
        self.call_runners = CallRunners(runners, available, settings.limits, self._bundles_directory)
        settings.limits.warn_of_unenforced(own.name, probe)
        launcher = Launcher(
            self.registry,
            launches,
            runners,
            available,
            self._core_access,
            self._data_dir,
            self._clock,
            default_timeout_seconds=settings.default_timeout_seconds,
            limits=settings.limits,
            network=self._network,
            bundles_directory=self._bundles_directory,
            read_input=self._core.read_input,
            fetcher=fetcher if only_instance is None else None,
        )
        self._supervisor = Supervisor(
            self._core, launcher, launches, owner, self._clock, self._settings, only_instance=only_instance
        )
        if only_instance is None:
            identity = HostIdentity(
                host_id=owner.host_id,
                owner=owner.name,
                host_name=self._host.name,
                address=self._host.address,
                version=runtara_environment.__version__,
                runner_type=runner.runner_type,
                isolation=probe.isolation,
                max_launches=settings.max_launches or None,
            )
            self._presence = HostPresence(
                hosts, identity, self._supervisor, self._clock, self.registry.artifacts.digests
            )
            self._upkeep = Upkeep(
                self._database,
                self._core,
                launches,
                self.registry.artifacts,
                self._data_dir,
                self._clock,
                self._registry_settings,
                CopiesUpkeep(self.registry.artifacts, sources, NeededArtifacts(self._database), self._clock),
            )
        self._workspaces = Workspaces(self._data_dir, launches)
        self.service = EnvironmentService(
            self._core,
            self.registry,
            self._supervisor,
            self._clock,
            self._workspaces,
            LaunchRules(settings.limits, available),
            HostService(hosts, self._presence, self._clock),
            RemoteStop(self._core, launches, hosts, self._clock),
            ArtifactExchange(
                fetcher,
                ArtifactTransfers(self.registry.artifacts, self._clock),
                ArtifactCopies(
                    self.registry.artifacts,
                    sources,
                    hosts,
                    owner.host_id,
                    self._open_peer,
                    self._clock,
                    self._publish_artifacts,
                    copies=self._images.copies,
                ),
            ),
            InstanceLogs(
                self._core,
                launches,
                self._data_dir,
                owner.host_id,
                self._clock,
                LogsElsewhere(hosts, owner.host_id, self._open_peer, self._clock),
            ),
            InputJudge(self._input_checks),
            max_input_bytes=self._max_input_bytes,
        )

    async def isolation_with(self, runner: str | None) -> str:
        """What the runner that an instance names isolates here; without a name, the environment's own.

        Raises `RunnerUnavailableError` when this environment launches nothing with it.
        """
        return (await self._runners.get(runner)).probe.isolation

    def _secure_data_directory(self) -> None:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            secure_data_directory(self._data_dir, has_guest_users=may_have_users(self._runner_host))
        except OSError as error:
            raise ConfigurationError(
                f"the modes of {error.filename} in the data directory (DATA_DIR) cannot be set: {error.strerror}"
            ) from error

    async def _publish_artifacts(self) -> None:
        if self._presence is not None:
            await self._presence.publish_artifacts()

    async def start(self, address: str | None = None) -> None:
        """Take over what dead environments of this host left, launch what is due, and sweep old run directories.

        Others are told `address` as the place where this environment serves, unless the settings name another.
        """
        if self._supervisor is None:
            raise RuntimeError("open() comes before start()")
        if self._presence is None:
            await self._supervisor.start()
        else:
            await self._presence.start(address)
        if self._upkeep is not None:
            self._upkeep.start()

    async def drain(self, seconds: float) -> int:
        """Claim no more, and let what runs suspend, for up to `seconds`; what does not obey is ended then.

        Returns how many launches have not ended even so. Calls are served meanwhile.
        """
        return 0 if self._presence is None else await self._presence.drain(seconds)

    async def close(self, *, stop_guests: bool) -> None:
        """Stop supervising. Guests run on for the next environment of this host, unless `stop_guests`.

        Harmless after an `open` that failed, and to repeat.
        """
        presence, self._presence = self._presence, None
        supervisor, self._supervisor = self._supervisor, None
        try:
            if self._upkeep is not None:
                await self._upkeep.close()
            if self._fetcher is not None:
                await self._fetcher.close()
            if self._workspaces is not None:
                await self._workspaces.close()
            if presence is not None:
                await presence.close()
            if supervisor is not None:
                await supervisor.close(stop_guests=stop_guests)
        finally:
            await self._database.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None
