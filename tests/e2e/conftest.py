"""The product as its users drive it: commands and daemons in processes of their own, on ports and folders of a test.

Every wait has a deadline; what the processes said is shown with a failing test. Nothing outlives its test: processes
are found by the folder of the test in their command line or environment.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from runtara_core.testing.ports import choose_port
from runtara_core.testing.postgres import create_database, drop_database

from tests.containers import remove_control_groups

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
DEADLINE_SECONDS = 90.0
_POLL_SECONDS = 0.05
_LOG_TAIL_CHARACTERS = 4_000


def wait_until(condition: Callable[[], Any], what: str, *, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true value of `condition`; fails the test when it does not come."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:g} s in vain for: {what}")
        time.sleep(_POLL_SECONDS)


# Processes


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    command: str
    exit_code: int
    stdout: str
    stderr: str

    @property
    def errors(self) -> list[str]:
        """The lines of standard error that tell an error."""
        return [line for line in self.stderr.splitlines() if line.startswith("error:")]

    @property
    def output(self) -> Any:
        """Standard output, which is JSON and nothing else."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            pytest.fail(f"no JSON on standard output: {self}")

    def __str__(self) -> str:
        return f"{self.command}\nexit code {self.exit_code}\nstdout: {self.stdout}\nstderr: {self.stderr}"


class Background:
    """A process that runs beside the test, its output in files, in a process group of its own."""

    def __init__(self, argv: list[str], *, directory: Path, log: Path, env: Mapping[str, str]) -> None:
        self.argv = argv
        self.log = log
        self.out = log.with_suffix(".out")
        with log.open("ab") as error, self.out.open("ab") as output:
            self._process = subprocess.Popen(
                argv,
                cwd=directory,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        """All of its output and errors so far."""
        return self.out.read_text(errors="replace") + self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, *, seconds: float = DEADLINE_SECONDS) -> re.Match[str]:
        """Wait until its output matches; fails when it ends before."""

        def matches() -> re.Match[str] | None:
            ended = not self.is_running
            found = re.search(pattern, self.said())
            if found is None and ended:
                pytest.fail(f"{' '.join(self.argv)} ended with {self._process.returncode}:\n{self.said()}")
            return found

        return wait_until(
            matches, f"{pattern!r} from {' '.join(self.argv)}, which said\n{self.said()}", seconds=seconds
        )

    def send(self, number: signal.Signals) -> None:
        """Signal its process group."""
        os.killpg(self._process.pid, number)

    def finish(self, *, seconds: float = DEADLINE_SECONDS) -> Finished:
        """Wait for its end."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{' '.join(self.argv)} did not end within {seconds:g} s:\n{self.said()}")
        return Finished(" ".join(self.argv), code, self.out.read_text(), self.log.read_text())

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = DEADLINE_SECONDS) -> Finished:
        """Signal it and wait for its end."""
        if self.is_running:
            self.send(number)
        return self.finish(seconds=seconds)


class Product:
    """Commands of the product in a folder of their own, with an environment that names nothing else."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data_dir = directory / "data"
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "USE_SYSTEMD_CGROUP") if name in os.environ
        }
        self.env: dict[str, str] = {**kept, "HOME": str(directory), "DATA_DIR": str(self.data_dir)}
        self._background: list[Background] = []

    def run(self, *argv: object, seconds: float = DEADLINE_SECONDS, **env: str) -> Finished:
        """Run a command to its end."""
        return self.start(*argv, **env).finish(seconds=seconds)

    def start(self, *argv: object, **env: str) -> Background:
        """Start a command."""
        words = [str(word) for word in argv]
        name = f"{len(self._background):02d}-{Path(words[0]).name}"
        if (SCRIPTS / words[0]).exists():
            words[0] = str(SCRIPTS / words[0])
        process = Background(
            words, directory=self.directory, log=self.directory / f"{name}.log", env={**self.env, **env}
        )
        self._background.append(process)
        return process

    def ctl(self, *argv: object, seconds: float = DEADLINE_SECONDS) -> Any:
        """Run `runtara-ctl`, which must succeed; its output, read as JSON where it is that."""
        finished = self.run("runtara-ctl", *argv, seconds=seconds)
        assert finished.exit_code == 0, finished
        try:
            return json.loads(finished.stdout)
        except ValueError:
            return finished.stdout.strip()

    def write(self, name: str, content: object) -> Path:
        """A file of the test's folder: text as it is, anything else as JSON."""
        path = self.directory / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")
        return path

    def processes(self) -> dict[int, str]:
        """Living processes that belong to this folder, by id, without those started by the test itself."""
        own = {process.pid for process in self._background} | {os.getpid()}
        return {pid: line for pid, line in _processes_naming(str(self.directory)).items() if pid not in own}

    def guests(self, instance_id: str) -> dict[int, str]:
        """Living processes that run or watch over an instance."""
        return {pid: line for pid, line in self.processes().items() if instance_id in line}

    async def wait_for_no_guest(self, instance_id: str) -> None:
        """Wait until no process of an instance is left."""
        await asyncio.to_thread(
            wait_until, lambda: not self.guests(instance_id), f"the end of the processes of {instance_id}"
        )

    def transcript(self) -> str:
        """The end of what each process said."""
        parts = [f"--- {' '.join(p.argv)}\n{p.said()[-_LOG_TAIL_CHARACTERS:]}" for p in self._background]
        return "\n".join(parts)

    def close(self) -> None:
        """End everything that is left, the supervising processes first."""
        for process in self._background:
            if process.is_running:
                process.send(signal.SIGKILL)
                process.finish()
        for _ in range(3):
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        remove_control_groups(self.data_dir)


def _processes_naming(text: str) -> dict[int, str]:
    """Processes whose command line or environment contains `text`: id to both, as one line."""
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                content = (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
            except OSError:
                continue
            line = content.replace(b"\0", b" ").decode(errors="replace")
            if state != "Z" and text in line:
                found[int(folder.name)] = line
    return found


class Daemons:
    """Core and environment apart, on free ports, with one data directory and one database."""

    def __init__(self, product: Product, database_url: str, **env: str) -> None:
        self.product = product
        self.database_url = database_url
        self.core_port, self.admin_port, self.environment_port = (choose_port(socket.SOCK_DGRAM) for _ in range(3))
        product.env |= {
            "RUNTARA_DATABASE_URL": database_url,
            "RUNTARA_QUIC_PORT": str(self.core_port),
            "RUNTARA_ADMIN_PORT": str(self.admin_port),
            "RUNTARA_ENV_QUIC_PORT": str(self.environment_port),
            "RUNTARA_CORE_ADDR": f"127.0.0.1:{self.core_port}",
            "RUNTARA_ENVIRONMENT_ADDR": f"127.0.0.1:{self.environment_port}",
            # A test is over with its calls held back, which no program would be done with in time.
            "RUNTARA_ON_SHUTDOWN": "leave",
            **env,
        }
        self.core: Background | None = None
        self.environment: Background | None = None

    def start(self) -> None:
        """Start both and wait until they serve."""
        self.core = self.product.start("runtara-core")
        self.core.wait_for("serves")
        self.start_environment()

    def start_environment(self) -> None:
        """Start the environment and wait until it serves."""
        self.environment = self.product.start("runtara-environment")
        self.environment.wait_for("serves on")

    def stop(self) -> None:
        """End both as an operator does."""
        for daemon in (self.environment, self.core):
            if daemon is not None:
                assert daemon.stop().exit_code == 0, daemon.said()

    def sdk(self) -> Any:
        """A management client of these daemons, not yet connected."""
        from runtara_sdk import ManagementSdk
        from runtara_sdk.management import ManagementSettings

        return ManagementSdk(
            ManagementSettings(
                server_addr=f"127.0.0.1:{self.environment_port}", ca_file=self.product.data_dir / "tls" / "ca.pem"
            )
        )


# The service that workflows call


class HeldService:
    """The order service of the examples, in this process; a test may hold the answers of a path back."""

    def __init__(self) -> None:
        example = _load_example("order_service")
        self.answers: dict[str, tuple[int, Any]] = {}
        """Path to the status and body that it answers instead of the usual."""
        self.busy: dict[str, int] = {}
        """Path to the number of further calls that it answers with 503."""
        self._holds: dict[str, threading.Event] = {}
        self._service = example.OrderService(0)
        self._service.RequestHandlerClass = self._handler(example.OrderHandler)
        threading.Thread(target=self._service.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._service.server_address[1]}"

    def _handler(self, base: Any) -> Any:
        answers, busy, holds = self.answers, self.busy, self._holds

        class Handler(base):
            def _serve(self, order: dict[str, Any]) -> None:
                if (held := holds.get(self.path)) is not None:
                    self.server.count(f"held {self.path}", order.get("id"))
                    held.wait(DEADLINE_SECONDS)
                with suppress(OSError):  # the caller may have been killed
                    if busy.get(self.path, 0):
                        busy[self.path] -= 1
                        self.server.count(self.path, order.get("id"))
                        self._answer(503, {"reason": "busy"})
                    elif self.path in answers:
                        self.server.count(self.path, order.get("id"))
                        self._answer(*answers[self.path])
                    else:
                        super()._serve(order)

        return Handler

    def calls(self, path: str, order_id: str | None = None) -> int:
        """How often a path was called, for one order or in total."""
        counts = self._service.counts()
        found = counts["calls"] if order_id is None else counts["orders"].get(path, {})
        return int(found.get(path if order_id is None else order_id, 0))

    def hold(self, path: str) -> None:
        """From now on let callers of `path` wait."""
        self._holds[path] = threading.Event()

    def release(self, path: str) -> None:
        """Answer those who wait, and whoever comes."""
        self._holds.pop(path).set()

    def wait_for_held(self, path: str) -> None:
        """Wait until a caller waits."""
        wait_until(lambda: self.calls(f"held {path}"), f"a call of {path}")

    def close(self) -> None:
        """Stop."""
        for event in self._holds.values():
            event.set()
        self._service.shutdown()
        self._service.server_close()


def _load_example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Fixtures


@pytest.fixture
def product(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Product]:
    """The commands, in a folder of this test."""
    made = Product(tmp_path)
    request.node.stash.setdefault(_PRODUCTS, []).append(made)
    yield made
    made.close()


@pytest.fixture
def service() -> Iterator[HeldService]:
    """The order service."""
    made = HeldService()
    yield made
    made.close()


@pytest.fixture
def order_scenario(product: Product, service: HeldService) -> Path:
    """The example scenario, calling the service of this test."""
    text = (REPOSITORY / "examples" / "order-processing.json").read_text(encoding="utf-8")
    return product.write("orders.json", text.replace("http://127.0.0.1:8780", service.url))


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def daemons(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """Core and environment apart, shared by all tests; once with each database."""
    product = Product(tmp_path_factory.mktemp(f"daemons-{request.param}"))
    server_url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    if server_url is None:
        made = Daemons(product, f"sqlite:///{product.directory}/runtara.db")
    else:
        made = Daemons(product, asyncio.run(create_database(server_url)))
    request.node.stash.setdefault(_PRODUCTS, []).append(product)
    try:
        made.start()
        yield made
        made.stop()
    finally:
        product.close()
        if server_url is not None:
            asyncio.run(drop_database(server_url, made.database_url))


@pytest.fixture
def sqlite_daemons(product: Product) -> Callable[..., Daemons]:
    """Makes daemons of this test alone, on SQLite, with further variables."""

    def make(**env: str) -> Daemons:
        made = Daemons(product, f"sqlite:///{product.directory}/runtara.db", **env)
        made.start()
        return made

    return make


@pytest.fixture(scope="session")
def native_library_dir() -> Path:
    """Where the base runtime of native builds is kept between sessions; RUNTARA_TEST_NATIVE_CACHE names another."""
    given = os.environ.get("RUNTARA_TEST_NATIVE_CACHE")
    return Path(given) if given else REPOSITORY / ".data" / "test-native"


_PRODUCTS = pytest.StashKey[list[Product]]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show what the processes said with a failing test."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed:
        for node in item.listchain():
            for product in node.stash.get(_PRODUCTS, []):
                report.sections.append((f"processes in {product.directory}", product.transcript()))
