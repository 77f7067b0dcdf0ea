"""Daemons, instances and a counting service that tests may kill at any point.

What is killed is always a process that the test started, or one named by the files of a launch in the test's folder.
Every wait has a deadline; no test sleeps for a fixed time.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from runtara_core.testing.postgres import create_database, drop_database
from runtara_environment.runners.process_identity import ProcessHandle, ProcessIdentity
from runtara_sdk.errors import RuntaraError
from runtara_sdk.management import ManagementSdk, ManagementSettings
from runtara_sdk.management.models import InstanceInfo

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
DEADLINE_SECONDS = 60.0
TENANT = "demo"
_POLL_SECONDS = 0.01


async def eventually(
    condition: Callable[[], Awaitable[Any]],
    what: str,
    *,
    details: Callable[[], str] = str,
    seconds: float = DEADLINE_SECONDS,
) -> Any:
    """The first true value of `condition`; fails after `seconds` and shows the `details` of then."""
    deadline = time.monotonic() + seconds
    while not (value := await condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}\n{details()}")
        await asyncio.sleep(_POLL_SECONDS)
    return value


class Daemon:
    """A daemon in a process of its own."""

    def __init__(self, argv: list[str], log: Path, env: dict[str, str]) -> None:
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """What it has written so far."""
        with self._log.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode(errors="replace")

    async def wait_until_serving(self) -> None:
        async def serves() -> bool:
            said = self.said()
            if self._process.poll() is not None:
                pytest.fail(f"the daemon ended with {self._process.returncode}:\n{said}")
            return "serves" in said

        await eventually(serves, "a daemon that serves")

    async def wait_until_dead(self) -> None:
        async def ended() -> bool:
            return self._process.poll() is not None

        await eventually(ended, "the death of a daemon", details=self.said)
        assert self._process.returncode == -signal.SIGKILL, self.said()

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        self._process.kill()
        self._process.wait(10)


@dataclass
class Guest:
    """The two processes of a launch."""

    shim: ProcessIdentity
    program: ProcessIdentity | None
    epoch: int

    def kill_program(self) -> bool:
        """SIGKILL to the program; False when it is gone already."""
        return self.program is not None and _send(self.program, signal.SIGKILL)

    def kill_shim(self) -> bool:
        """SIGKILL to the shim; the kernel takes the program with it."""
        return _send(self.shim, signal.SIGKILL)

    def send(self, number: signal.Signals) -> bool:
        """A signal to the program."""
        return self.program is not None and _send(self.program, number)


def _send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    handle = ProcessHandle.open(identity)
    if handle is None or not identity.is_alive:
        return False
    handle.send(number)
    handle.close()
    return True


class Losses:
    """What was durable when processes of an instance were killed, and how many times that happened."""

    def __init__(self, service: CountingService) -> None:
        self._service = service
        self.kills = 0
        self.final: dict[str, int] = {}
        """Calls for each order whose checkpoint existed at a kill: no further one may follow."""

    def remember(self, checkpoints: set[str]) -> None:
        """Take down what is durable now, before a kill."""
        counts = self._service.counts()
        for order in checkpoints & counts.keys():
            self.final.setdefault(order, counts[order])


class Platform:
    """Core and environment apart, on one database and one data directory."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.directory = directory
        self.database_url = database_url
        self.data_dir = directory / "data"
        self.core: Daemon | None = None
        self.environment: Daemon | None = None
        self.lease_ms = 30_000
        ports = _free_ports(3)
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self._env = {
            **kept,
            "HOME": str(directory),
            "DATA_DIR": str(self.data_dir),
            "RUNTARA_DATABASE_URL": database_url,
            "RUNTARA_QUIC_PORT": str(ports[0]),
            "RUNTARA_ADMIN_PORT": str(ports[1]),
            "RUNTARA_ENV_QUIC_PORT": str(ports[2]),
            "RUNTARA_CORE_ADDR": f"127.0.0.1:{ports[0]}",
            "PYTHONWARNINGS": "ignore",
        }
        self._daemons: list[Daemon] = []
        self._images: dict[Path, str] = {}

    # Daemons

    async def start_core(self, **point: Any) -> Daemon:
        """Start core, to die at a point (`at`, `when`, `call` of doomed_daemon.py) if one is given."""
        self.core = await self._start("core", self._env, **point)
        return self.core

    async def start_environment(self, *, serves: bool = True, **point: Any) -> Daemon:
        """Start the environment, likewise; one that dies at its start never `serves`."""
        self.environment = await self._start("environment", self._env, serves=serves, **point)
        return self.environment

    async def start_other_host(self) -> Daemon:
        """A second environment, as on another host: with a data directory of its own."""
        other = self.directory / "other"
        other.mkdir()
        for shared in ("tls", "images"):
            (other / shared).symlink_to(self.data_dir / shared)
        env = {**self._env, "DATA_DIR": str(other), "RUNTARA_ENV_QUIC_PORT": str(_free_ports(1)[0])}
        return await self._start("environment", env)

    async def ensure_running(self) -> None:
        """Both daemons, alive and not doomed."""
        if self.core is None:
            await self.start_core()
        if self.environment is None:
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
        if point or (role == "environment" and self.lease_ms != 30_000):
            argv = [sys.executable, str(Path(__file__).with_name("doomed_daemon.py")), role]
            argv += ["--lease-ms", str(self.lease_ms)]
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
        settings = ManagementSettings(
            server_addr=f"127.0.0.1:{self._env['RUNTARA_ENV_QUIC_PORT']}",
            ca_file=self.data_dir / "tls" / "ca.pem",
            connect_timeout_ms=2_000,
            request_timeout_ms=10_000,
        )
        return ManagementSdk(settings)

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
            registered = await self.persist(lambda sdk: sdk.register_image_stream(TENANT, program.stem, program))
            self._images[program] = registered.image_id
        return self._images[program]

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
        launches = sorted(self.directory.glob(f"*/{TENANT}/runs/{instance_id}/launch-*"), key=_epoch)
        for launch in reversed(launches):
            with contextlib.suppress(OSError, ValueError):
                claim = json.loads((launch / "shim.json").read_text())
                if "pid" in claim:
                    program = None
                    if "child_pid" in claim:
                        program = ProcessIdentity(claim["child_pid"], claim["child_start_time"], claim["boot_id"])
                    return Guest(
                        ProcessIdentity(claim["pid"], claim["start_time"], claim["boot_id"]), program, _epoch(launch)
                    )
        return None

    async def running_guest(self, instance_id: str, *, above_epoch: int = 0) -> Guest:
        """The newest launch, once its program runs."""

        async def find() -> Guest | None:
            guest = self.guest(instance_id)
            if guest is None or guest.program is None or guest.epoch <= above_epoch:
                return None
            return guest if guest.program.is_alive else None

        found: Guest = await eventually(find, f"a program of {instance_id}", details=self.transcript)
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
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

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
        for path in self.directory.glob(f"*/{TENANT}/runs/*"):
            guest = self.guest(path.name)
            if guest is not None:
                guest.kill_shim()


def _epoch(launch: Path) -> int:
    return int(launch.name.rpartition("-")[2])


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class CountingService:
    """The order service of the examples, in this process; it survives every kill and counts."""

    def __init__(self) -> None:
        spec = importlib.util.spec_from_file_location("order_service", REPOSITORY / "examples" / "order_service.py")
        assert spec is not None
        assert spec.loader is not None
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        self._service = example.OrderService(0)
        self._service.handle_error = lambda *_: None  # callers are killed in the middle of their calls
        threading.Thread(target=self._service.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._service.server_address[1]}"

    def counts(self, path: str = "/orders") -> dict[str, int]:
        """Calls for each order."""
        found: dict[str, int] = self._service.counts()["orders"].get(path, {})
        return found

    def assert_exactly_once(self, orders: int, losses: Losses | None = None) -> None:
        """Every order came; none again that was checkpointed before a kill, and not more than one again per kill."""
        counts = self.counts()
        assert set(counts) == {f"order-{number}" for number in range(orders)}
        again = {order: count for order, count in counts.items() if count > 1}
        kills, final = (0, {}) if losses is None else (losses.kills, losses.final)
        assert {order: counts[order] for order in final} == final, "processed again although checkpointed"
        assert sum(again.values()) - len(again) <= kills, f"{kills} kills, processed again: {again}"

    def close(self) -> None:
        """Stop."""
        self._service.shutdown()
        self._service.server_close()


@pytest.fixture
def service() -> Iterator[CountingService]:
    """A service that nobody has called."""
    made = CountingService()
    yield made
    made.close()


@pytest.fixture
def losses(service: CountingService) -> Losses:
    """Nothing lost yet."""
    return Losses(service)


@contextlib.contextmanager
def _platform(directory: Path, server_url: str | None) -> Iterator[Platform]:
    sqlite_url = f"sqlite:///{directory}/runtara.db"
    url = sqlite_url if server_url is None else asyncio.run(create_database(server_url))
    made = Platform(directory, url)
    try:
        yield made
    finally:
        made.close()
        if server_url is not None:
            asyncio.run(drop_database(server_url, url))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def _each_platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    server_url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    with _platform(tmp_path_factory.mktemp(request.param), server_url) as made:
        yield made


@pytest.fixture(scope="module")
def _sqlite_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with _platform(tmp_path_factory.mktemp("sqlite"), None) as made:
        yield made


@pytest.fixture
async def each_platform(_each_platform: Platform) -> Platform:
    """Daemons that run, once on each database; shared by the tests of a module."""
    await _each_platform.ensure_running()
    return _each_platform


@pytest.fixture
async def platform(_sqlite_platform: Platform) -> Platform:
    """Daemons that run, on SQLite; shared by the tests of a module."""
    await _sqlite_platform.ensure_running()
    return _sqlite_platform


@pytest.fixture
def own_platform(tmp_path: Path) -> Iterator[Platform]:
    """Daemons of this test alone, not yet started, on SQLite."""
    with _platform(tmp_path, None) as made:
        yield made
