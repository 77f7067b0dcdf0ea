"""A host in one test: core on an SQLite file, the mock runner, a manual clock, and supervisors that come and go.

    async with supervised_host(tmp_path) as host:
        instance_id = await host.create()
        supervisor = await host.supervise()
        process = await host.launched(instance_id, epoch=1)
        process.end(1)

Nothing sleeps: `until` polls a condition, moving the clock when asked to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from runtara_core.database import Database, create_database
from runtara_core.due import DueBell
from runtara_core.instance_service import InstanceService
from runtara_core.management import CoreManagement
from runtara_core.management_service import ManagementService
from runtara_core.models import CoreLimits, Instance, NewInstance
from runtara_core.storage import Storage
from runtara_core.storages import open_storage
from runtara_sdk.models import EventType, InstanceEvent, InstanceStatus
from runtara_sdk.testing.clock import ManualClock

from runtara_environment import migrations
from runtara_environment.fetching import ArtifactFetcher, ArtifactSource
from runtara_environment.launch_options import LaunchOptions
from runtara_environment.launch_table import Launch, LaunchTable
from runtara_environment.owner import Owner, read_host_id
from runtara_environment.registry import ImageRegistry
from runtara_environment.runner import NetworkMode, RunnerProbe
from runtara_environment.runners.available import AvailableRunners, ReadyRunner
from runtara_environment.runners.loading import LoadedRunners
from runtara_environment.runners.process_identity import ProcessIdentity
from runtara_environment.settings import SupervisionSettings
from runtara_environment.sql.queries import environment_queries
from runtara_environment.supervision.guest import CoreAccess
from runtara_environment.supervision.launcher import Launcher
from runtara_environment.supervision.supervisor import Supervisor
from runtara_environment.testing.mock_runner import MockProcess, MockRunner

TENANT = "tenant-1"
WAIT_SECONDS = 60.0


class SupervisedHost:
    """Everything around a supervisor.

    Attributes:
        storage: core's storage, to look at it and to change it behind the supervisor's back.
        service: core's management verbs, what supervisors use unless told otherwise.
        instances: core's instance verbs, to play the guest.
        database: with the tables of the environment.
        launches: the launch table.
        runner: the mock runner.
        clock: the clock of core and supervisors.
    """

    def __init__(
        self, data_dir: Path, storage: Storage, database: Database, registry: ImageRegistry, clock: ManualClock
    ) -> None:
        self._data_dir = data_dir
        self._registry = registry
        self._image_id = ""
        self._digest = ""
        self._supervisors: list[Supervisor] = []
        self._fetcher: ArtifactFetcher | None = None
        self.storage = storage
        self.database = database
        self.launches = LaunchTable(database)
        self.clock = clock
        self.runner = MockRunner()
        self._mock_runners = [self.runner]
        due, limits = DueBell(), CoreLimits()
        self.service = ManagementService(storage, clock, limits, due)
        self.instances = InstanceService(storage, clock, limits, due)

    @property
    def registry(self) -> ImageRegistry:
        """The images."""
        return self._registry

    async def prepare(self, artifact: bytes = b"#!/bin/sh\n") -> None:
        """Register the image that everything is an instance of; with another artifact, its next version."""
        image = await self._registry.register(tenant_id=TENANT, name="program", artifact=artifact)
        self._image_id, self._digest = image.image_id, image.digest

    def use(self, runner: MockRunner) -> None:
        """Install a further mock runner, of another type, for the supervisors that follow."""
        self._mock_runners.append(runner)

    def owner(self, *, dead: bool = False) -> Owner:
        """An owner on this host: this process, or one that is no more."""
        if not dead:
            return Owner.of_this_process(self._data_dir)
        identity = ProcessIdentity(pid=1, start_time=1, boot_id="an earlier boot")
        return Owner(read_host_id(self._data_dir), identity, f"dead{len(self._supervisors)}")

    def launcher(self, core_address: str = "127.0.0.1:8001") -> Launcher:
        """A launcher with the mock runner."""
        installed = LoadedRunners({runner.runner_type: runner for runner in self._mock_runners}, ())
        return Launcher(
            self._registry,
            self.launches,
            installed,
            AvailableRunners(
                installed,
                ReadyRunner(self.runner, RunnerProbe(True, "mock"), NetworkMode.HOST),
                self.clock,
                core_address="unix:///core.sock",
            ),
            CoreAccess(core_address, self._data_dir / "tls" / "ca.pem"),
            self._data_dir,
            self.clock,
            default_timeout_seconds=300,
            fetcher=self._fetcher,
        )

    def fetch_from(self, *sources: ArtifactSource) -> None:
        """Let supervisors that are made from now on fetch artifacts that this host lacks."""

        async def tell_nobody() -> None:
            pass

        self._fetcher = ArtifactFetcher(self._registry.artifacts, sources, tell_nobody, self.clock)

    async def supervise(
        self,
        *,
        owner: Owner | None = None,
        core: CoreManagement | None = None,
        core_address: str = "127.0.0.1:8001",
        only_instance: str | None = None,
        starts: bool = True,
        **settings: Any,
    ) -> Supervisor:
        """A supervisor, started unless told otherwise, which takes no program for hung unless a setting says when.

        Its leases are long, unless a setting says otherwise: the clock may be faster than their renewal.
        """
        supervisor = Supervisor(
            core or self.service,
            self.launcher(core_address),
            self.launches,
            owner or self.owner(),
            self.clock,
            SupervisionSettings(**{"heartbeat_timeout_seconds": 0, "lease_ms": 60_000, **settings}),
            only_instance=only_instance,
        )
        self._supervisors.append(supervisor)
        if starts:
            await supervisor.start()
        return supervisor

    async def create(self, instance_id: str = "instance-1", *, quietly: bool = False, **launch_options: Any) -> str:
        """A pending instance; `quietly` leaves it to be found, as one created through another core."""
        options = LaunchOptions(self._digest, **launch_options)
        new = NewInstance(instance_id, TENANT, self._image_id, b'{"data": 1}', options.encode())
        if quietly:
            await self.storage.create_instance(new, now_ms=self.clock.now_ms())
        else:
            await self.service.create_instance(new)
        return instance_id

    async def instance(self, instance_id: str = "instance-1") -> Instance:
        """The row of an instance that exists."""
        instance = await self.storage.get_instance(instance_id)
        if instance is None:
            raise AssertionError(f"instance {instance_id} does not exist")
        return instance

    async def rows(self, instance_id: str = "instance-1") -> list[Launch]:
        """Its rows of the launch table, newest first."""
        return await self.launches.of_instance(instance_id)

    async def launched(self, instance_id: str = "instance-1", *, epoch: int = 1, advance_ms: int = 0) -> MockProcess:
        """The process of a launch, once it is there; the clock moves by `advance_ms` at each look."""

        async def find() -> MockProcess | None:
            return next(
                (
                    process
                    for runner in self._mock_runners
                    for process in runner.processes.values()
                    if (process.spec.instance_id, process.spec.epoch) == (instance_id, epoch)
                ),
                None,
            )

        process = await self.until(find, f"launch {epoch} of {instance_id}", advance_ms=advance_ms)
        assert isinstance(process, MockProcess)
        return process

    async def settled(
        self, status: InstanceStatus, instance_id: str = "instance-1", *, advance_ms: int = 0
    ) -> Instance:
        """The instance once it has `status` and no launch of it is recorded any more."""

        async def look() -> Instance | None:
            if (await self.instance(instance_id)).status is not status or await self.rows(instance_id):
                return None
            # What the end of the launch has added is there only now that no launch is recorded any more.
            return await self.instance(instance_id)

        instance = await self.until(look, f"{instance_id} settled as {status}", advance_ms=advance_ms)
        assert isinstance(instance, Instance)
        return instance

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str, *, advance_ms: int = 0) -> Any:
        """The first true value of `condition`; fails after `WAIT_SECONDS`."""
        give_up = time.monotonic() + WAIT_SECONDS
        while not (value := await condition()):
            if time.monotonic() > give_up:
                raise AssertionError(f"{what}: not within {WAIT_SECONDS} s")
            if advance_ms:
                self.clock.advance(advance_ms)
            await asyncio.sleep(0.002)
        return value

    async def pass_time(self, milliseconds: int, *, step_ms: int = 1_000) -> None:
        """Let time pass in steps; what each step makes due is done before the next."""
        for _ in range(0, milliseconds, step_ms):
            self.clock.advance(step_ms)
            # A query on each thread of the database, behind whatever the step has caused.
            for _ in range(3):
                await self.storage.check_health()
                await self.storage.renew_leases("nobody", [], lease_ms=1, now_ms=0)

    async def register_guest(self, process: MockProcess) -> None:
        """What a program does first."""
        spec = process.spec
        await self.instances.register(spec.instance_id, spec.tenant_id, epoch=spec.epoch, checkpoint_id=None)

    async def complete_guest(self, process: MockProcess) -> None:
        """What a program does last but exit."""
        event = InstanceEvent(EventType.COMPLETED, b'{"done": true}')
        await self.instances.report_event(process.spec.instance_id, process.spec.epoch, event)

    async def close(self) -> None:
        """Close every supervisor."""
        for supervisor in self._supervisors:
            await supervisor.close(stop_guests=False)


@asynccontextmanager
async def supervised_host(data_dir: Path) -> AsyncIterator[SupervisedHost]:
    """A host with an empty database below `data_dir`."""
    url = f"sqlite:///{data_dir}/runtara.db"
    clock = ManualClock()
    storage = await open_storage(url)
    await storage.open()
    database = create_database(url, environment_queries())
    try:
        await database.open()
        await migrations.run(database)
        host = SupervisedHost(data_dir, storage, database, ImageRegistry(database, data_dir, clock=clock), clock)
        await host.prepare()
        try:
            yield host
        finally:
            await host.close()
    finally:
        await database.close()
        await storage.close()
