"""Core and environment of a test, and the instances that it starts on them."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import sys
import uuid
import zipapp
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
from counting_service import REPOSITORY, CountingService, Losses
from processes import Daemon, Guest, daemon_variables, eventually, free_ports, guest_of, launch_epoch
from runtara_sdk.errors import RuntaraError
from runtara_sdk.management import ManagementSdk, ManagementSettings
from runtara_sdk.management.models import InstanceInfo
from runtara_sdk.transport.address import format_local_address
from runtara_sdk.transport.places import CORE_SOCKET, socket_path

from tests.containers import left_of_containers, remove_control_groups

SCRIPTS = Path(sys.executable).parent
TENANT = "demo"


class Platform:
    """Core and environment apart, on one database and one data directory."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self.database_url = database_url
        self.data_dir = directory / "data"
        self.core: Daemon | None = None
        self.environment: Daemon | None = None
        self.lease_ms = 30_000
        self.max_recoveries: int | None = None
        self.has_containers = False
        self._env = {**daemon_variables(directory, database_url), "PYTHONWARNINGS": "ignore"}
        self._daemons: list[Daemon] = []
        self._images: dict[Path, str] = {}
        self._other_port = 0

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable of the daemons that are started from now on."""
        self._env[name] = value

    def use_containers(self, runtime: str) -> None:
        """Daemons that are started from now on launch programs in containers, which reach core by its socket."""
        self.has_containers = True
        self._env |= {
            "RUNTARA_RUNNER": "oci",
            "RUNTARA_NETWORK_MODE": "none",
            "RUNTARA_OCI_RUNTIME": runtime,
            "RUNTARA_CORE_ADDR": format_local_address(socket_path(self.data_dir, CORE_SOCKET)),
        }

    def left_of_containers(self) -> list[str]:
        """What should be gone."""
        return left_of_containers(self.data_dir)

    # Daemons

    async def start_core(self, *, serves: bool = True, **point: Any) -> Daemon:
        """Start core, to die at a point (`at`, `when`, `call` of doomed_daemon.py) if one is given."""
        self.core = await self._start("core", self._env, serves=serves, **point)
        return self.core

    async def start_environment(self, *, serves: bool = True, **point: Any) -> Daemon:
        """Start the environment, likewise; whoever dies at its start never `serves`."""
        self.environment = await self._start("environment", self._env, serves=serves, **point)
        return self.environment

    async def start_other_host(self, *, has_images: bool = True) -> Daemon:
        """A second environment, as on another host: with a data directory of its own, which may have the images."""
        other = self.directory / "other"
        other.mkdir()
        for shared in ("tls", "images") if has_images else ("tls",):
            (other / shared).symlink_to(self.data_dir / shared)
        self._other_port = free_ports(1)[0]
        env = {**self._env, "DATA_DIR": str(other), "RUNTARA_ENV_QUIC_PORT": str(self._other_port)}
        return await self._start("environment", env)

    def spawn_environment(self, log_name: str, variables: dict[str, str]) -> Daemon:
        """Start a further environment with variables of its own; it may not serve yet."""
        argv = [str(SCRIPTS / "runtara-environment")]
        if self.lease_ms != 30_000:
            argv = [sys.executable, str(Path(__file__).with_name("doomed_daemon.py")), "environment"]
            argv += ["--lease-ms", str(self.lease_ms)]
        daemon = Daemon(argv, self.directory / log_name, {**self._env, **variables})
        self._daemons.append(daemon)
        return daemon

    async def ensure_running(self) -> None:
        """Both daemons, alive and not doomed, whatever a test before has left."""
        if self.core is None or not self.core.is_alive:
            await self.start_core()
        if self.environment is None or not self.environment.is_alive:
            await self.start_environment()

    async def replace(self, role: str, **point: Any) -> Daemon:
        """Kill a daemon and start it again, doomed to a point."""
        self.kill(role)
        return await (self.start_core if role == "core" else self.start_environment)(**point)

    def kill(self, role: str) -> None:
        """SIGKILL to a daemon, if it runs."""
        daemon = self.core if role == "core" else self.environment
        if daemon is not None:
            daemon.kill()
        if role == "core":
            self.core = None
        else:
            self.environment = None

    async def died(self, role: str) -> None:
        """Wait until a doomed daemon has killed itself."""
        daemon = self.core if role == "core" else self.environment
        assert daemon is not None
        await daemon.wait_until_dead()
        self.kill(role)

    async def _start(self, role: str, env: dict[str, str], *, serves: bool = True, **point: Any) -> Daemon:
        if point or self.max_recoveries is not None or (role == "environment" and self.lease_ms != 30_000):
            argv = [sys.executable, str(Path(__file__).with_name("doomed_daemon.py")), role]
            argv += ["--lease-ms", str(self.lease_ms)]
            if self.max_recoveries is not None:
                argv += ["--max-recoveries", str(self.max_recoveries)]
            for name, value in point.items():
                argv += [f"--{name}", str(value)]
        else:
            argv = [str(SCRIPTS / f"runtara-{role}")]
        daemon = Daemon(argv, self.directory / f"{role}.log", env)
        self._daemons.append(daemon)
        if serves:
            await daemon.wait_until_serving()
        return daemon

    async def eventually(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        """Wait for a condition; shows what the daemons said when it does not come."""
        return await eventually(condition, what, details=self.transcript)

    # Instances

    def sdk(self) -> ManagementSdk:
        """A management client."""
        return ManagementSdk(self.management_settings())

    def other_sdk(self) -> ManagementSdk:
        """A management client of the other host."""
        return ManagementSdk(replace(self.management_settings(), server_addr=f"127.0.0.1:{self._other_port}"))

    def management_settings(self) -> ManagementSettings:
        """Where the environment is found."""
        return ManagementSettings(
            server_addr=f"127.0.0.1:{self._env['RUNTARA_ENV_QUIC_PORT']}",
            ca_file=self.data_dir / "tls" / "ca.pem",
            connect_timeout_ms=2_000,
            request_timeout_ms=10_000,
        )

    async def persist(self, call: Callable[[ManagementSdk], Awaitable[Any]]) -> Any:
        """Make a call of the environment, again and again while it or core is away."""
        sdk = self.sdk()
        try:

            async def attempt() -> Any:
                try:
                    return (await call(sdk),)
                except RuntaraError as error:
                    if not error.retryable:
                        raise
                    return None

            return (await eventually(attempt, "an answer of the environment", details=self.transcript))[0]
        finally:
            await sdk.close()

    async def image(self, program: Path) -> str:
        """The image of a program, registered when it is new."""
        if program not in self._images:
            path = self._self_contained(program) if self.has_containers else program
            registered = await self.persist(lambda sdk: sdk.register_image_stream(TENANT, program.stem, path))
            self._images[program] = registered.image_id
        return self._images[program]

    def _self_contained(self, program: Path) -> Path:
        """A program with the modules of these tests that it imports, which no container sees."""
        source = self.directory / program.stem
        source.mkdir()
        shutil.copyfile(program, source / "__main__.py")
        shutil.copyfile(Path(__file__).with_name("witness.py"), source / "witness.py")
        path = self.directory / f"{program.stem}.pyz"
        zipapp.create_archive(source, path, interpreter="/usr/bin/env python3")
        return path

    async def start(self, program: Path, envelope: Any, *, instance_id: str | None = None, **options: Any) -> str:
        """Start an instance of a program."""
        instance_id = instance_id or f"run-{uuid.uuid4().hex[:12]}"
        image_id = await self.image(program)
        await self.persist(
            lambda sdk: sdk.start_instance(
                image_id, TENANT, instance_id=instance_id, input_envelope=envelope, **options
            )
        )
        return instance_id

    async def start_batch(
        self, service: CountingService, *, orders: int, rest_seconds: float = 0, **options: Any
    ) -> str:
        """Start the batch of the examples."""
        envelope = {"orders": orders, "service": service.url, "rest_seconds": rest_seconds}
        return await self.start(REPOSITORY / "examples" / "durable_batch.py", envelope, **options)

    async def ended(self, instance_id: str) -> InstanceInfo:
        """The instance, once it has ended and its launches are forgotten."""

        async def no_rows() -> bool:
            return not await self.fetch(f"SELECT epoch FROM launches WHERE instance_id = '{instance_id}'")

        async def is_terminal() -> InstanceInfo | None:
            info: InstanceInfo = await self.persist(lambda sdk: sdk.get_instance_status(instance_id))
            return info if info.status.is_terminal else None

        await eventually(is_terminal, f"the end of {instance_id}", details=self.transcript)
        await eventually(no_rows, f"no launch of {instance_id}", details=self.transcript)
        info: InstanceInfo = await self.persist(lambda sdk: sdk.get_instance_status(instance_id))
        return info

    def guest(self, instance_id: str) -> Guest | None:
        """The processes of the newest launch, as its files name them."""
        launches = sorted(self.directory.glob(f"*/*/runs/{instance_id}/launch-*"), key=launch_epoch)
        return next((guest for launch in reversed(launches) if (guest := guest_of(launch)) is not None), None)

    async def running_guest(self, instance_id: str, *, above_epoch: int = 0) -> Guest:
        """The newest launch, once its program runs."""

        async def find() -> Guest | None:
            guest = self.guest(instance_id)
            if guest is None or guest.program is None or guest.epoch <= above_epoch:
                return None
            return guest if guest.program.is_alive else None

        found: Guest = await eventually(find, f"a program of {instance_id}", details=self.transcript)
        return found

    async def running_or_ended_guest(self, instance_id: str, *, above_epoch: int) -> Guest:
        """The newest launch, once its program has been started."""

        async def find() -> Guest | None:
            guest = self.guest(instance_id)
            return guest if guest is not None and guest.program is not None and guest.epoch > above_epoch else None

        found: Guest = await self.eventually(find, f"a program of {instance_id}")
        return found

    # What is stored

    async def fetch(self, statement: str) -> list[Any]:
        """The rows of a query, read behind the daemons' back."""
        if self.database_url.startswith("sqlite"):
            return await asyncio.to_thread(self._fetch_sqlite, statement)
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    def _fetch_sqlite(self, statement: str) -> list[Any]:
        path = self.database_url.removeprefix("sqlite:///")
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def change(self, statement: str) -> None:
        """Change rows behind the back of daemons that are dead (SQLite)."""
        with contextlib.closing(sqlite3.connect(self.database_url.removeprefix("sqlite:///"))) as connection:
            connection.execute(statement)
            connection.commit()

    async def checkpoints(self, instance_id: str) -> set[str]:
        """Ids of the stored checkpoints."""
        rows = await self.fetch(f"SELECT checkpoint_id FROM checkpoints WHERE instance_id = '{instance_id}'")
        return {row[0] for row in rows}

    async def status(self, instance_id: str) -> str:
        """The stored status."""
        rows = await self.fetch(f"SELECT status FROM instances WHERE instance_id = '{instance_id}'")
        return str(rows[0][0]) if rows else "unknown"

    async def progressed(self, instance_id: str, count: int) -> set[str]:
        """The checkpoints, once there are `count`."""

        async def enough() -> set[str] | None:
            found = await self.checkpoints(instance_id)
            return found if len(found) >= count else None

        found: set[str] = await eventually(enough, f"{count} checkpoints of {instance_id}", details=self.transcript)
        return found

    # Kills

    async def kill_guest(self, instance_id: str, losses: Losses, *, shim: bool = False) -> None:
        """SIGKILL to the program, or to its shim; remembers what was safe before."""
        guest = await self.running_guest(instance_id)
        losses.remember(await self.checkpoints(instance_id))
        if guest.kill_shim() if shim else guest.kill_program():
            losses.kills += 1

    async def kill_everything(self, instance_id: str, losses: Losses) -> None:
        """SIGKILL to daemons, shim and program at once, as a loss of power."""
        guest = self.guest(instance_id)
        losses.remember(await self.checkpoints(instance_id))
        self.kill("environment")
        self.kill("core")
        if guest is not None and guest.kill_shim():
            losses.kills += 1

    def transcript(self) -> str:
        """The end of what the daemons said."""
        logs = sorted(self.directory.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)

    def close(self) -> None:
        """End what is left: the daemons, then the launches that the folder names."""
        for daemon in self._daemons:
            daemon.kill()
        for path in self.directory.glob("*/*/runs/*"):
            guest = self.guest(path.name)
            if guest is not None:
                guest.kill_shim()
        if self.has_containers:
            remove_control_groups(self.data_dir)
