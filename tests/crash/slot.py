"""A place where one run at a time takes place: ports, a data directory, a database, and the daemons of the run.

Daemons are forks of one parent that has imported the product. A daemon that dies is started again at once, as by the
process manager of an operator. What is killed when a run is over is a daemon of this slot, or a shim named by a file of
a launch in its folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
import zipapp
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from persistent_caller import Persist, StuckError, persistent_caller
from points import Doom, Plan
from processes import daemon_variables, guest_of
from runtara_core.testing.postgres import create_database, database_name, drop_database
from runtara_sdk.management import ManagementSettings
from witness import read_witness

from tests.containers import left_of_containers, remove_control_groups

DAEMONS = ("core", "environment")
DEADLINE_SECONDS = 90.0
TENANT = "demo"
PROGRAM = Path(__file__).with_name("programs") / "paths.py"
_MODULES_OF_PROGRAM = ("points.py", "seams.py", "witness.py")
_LEASE_MS = 10_000
_POLL_SECONDS = 0.02
_EMPTY = """
    DELETE FROM instances; DELETE FROM launches; DELETE FROM launch_owners; UPDATE first_epochs SET epoch = 0;
"""


class DaemonParent:
    """The process whose forks the daemons are; when it ends, they do."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, runtime: str | None = None) -> DaemonParent:
        """Start it; it imports, and tries the container `runtime`, while the first order waits."""
        pipe = asyncio.subprocess.PIPE
        script = str(Path(__file__).with_name("daemon_parent.py"))
        tried = () if runtime is None else (runtime,)
        return cls(await asyncio.create_subprocess_exec(sys.executable, script, *tried, stdin=pipe, stdout=pipe))

    async def fork(self, order: Mapping[str, Any]) -> tuple[int, int]:
        """A new daemon: its pid and a pidfd of it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn, asyncio.timeout(DEADLINE_SECONDS):
            stdin.write(json.dumps(order).encode() + b"\n")
            await stdin.drain()
            pid = int(await stdout.readline())
            return pid, os.pidfd_open(pid)

    async def close(self) -> None:
        """End it with all its forks."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@dataclass(frozen=True, slots=True)
class Template:
    """What every run begins with: certificates, the image of the program, a database that knows it."""

    data_dir: Path
    database_url: str
    image_id: str


class Slot:
    """One place for runs, on one database."""

    def __init__(
        self,
        directory: Path,
        parent: DaemonParent,
        database_url: str,
        template: Template | None,
        *,
        runtime: str | None = None,
    ) -> None:
        """With a container `runtime`, programs run in containers."""
        self.directory = directory
        self._runtime = runtime
        self.data_dir = directory / "data"
        self.plan = Plan(directory / "plan")
        self.database_url = database_url
        self._parent = parent
        self._template = template
        self.instance_id = ""
        self.deaths: list[str] = []
        self.repeated_shutdown = False
        self._daemons: dict[str, tuple[int, int]] = {}
        self._keeping = False
        self._starting: set[asyncio.Task[None]] = set()
        self._connection: Any = None
        self._dies_as_told = False
        self._environment = daemon_variables(directory, database_url)
        if runtime is not None:
            self._environment |= {
                "RUNTARA_RUNNER": "oci",
                "RUNTARA_NETWORK_MODE": "pasta",
                "RUNTARA_OCI_RUNTIME": runtime,
            }
        settings = ManagementSettings(
            server_addr=f"127.0.0.1:{self._environment['RUNTARA_ENV_QUIC_PORT']}",
            ca_file=self.data_dir / "tls" / "ca.pem",
            connect_timeout_ms=2_000,
            request_timeout_ms=10_000,
        )
        self._settings = settings

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.database_url.startswith("sqlite")

    @property
    def database_name(self) -> str:
        """Which of the databases it is."""
        return "sqlite" if self.is_sqlite else "postgres"

    @property
    def template(self) -> Template:
        """What runs begin with."""
        assert self._template is not None
        return self._template

    @property
    def program_variables(self) -> dict[str, str]:
        """What the program finds the plan and the modules of the tests by; a container has but the run directory."""
        if self._runtime is not None:
            return {"CRASH_PLAN": ".", "CRASH_MODULES": "."}
        return {"CRASH_PLAN": str(self.plan.directory), "CRASH_MODULES": str(Path(__file__).parent)}

    # A run

    async def begin(self, instance_id: str, doom: Doom | None) -> None:
        """Everything as the template has it, nothing left of the run before, both daemons waiting for work."""
        self.instance_id = instance_id
        self.plan.prepare(doom)
        for path in self.directory.glob("*.log"):
            path.unlink()
        if self._template is not None:
            await self._restore(self._template)
        self.deaths = []
        self.repeated_shutdown = False
        self._keeping = True
        for role in DAEMONS:
            await self._start(role)
        if self._template is not None:
            await self.until(self._is_quiet, "daemons that wait for work")

    async def _restore(self, template: Template) -> None:
        shutil.rmtree(self.data_dir, ignore_errors=True)
        self.data_dir.mkdir(parents=True)
        for shared in ("tls", "images"):
            (self.data_dir / shared).symlink_to(template.data_dir / shared)
        if self.is_sqlite:
            path = _file(self.database_url)
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            shutil.copyfile(_file(template.database_url), path)
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.executescript(_EMPTY)
            self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
            self._connection.row_factory = sqlite3.Row
        else:
            self._connection = self._connection or await asyncpg.connect(self.database_url)
            await self._connection.execute(_EMPTY)

    async def _is_quiet(self) -> bool:
        asked = "environment frame send request management.claim_launches"
        return any(point.startswith(asked) for point in self.plan.passed(armed=False))

    async def end(self) -> None:
        """End whatever runs."""
        self._keeping = False
        # Seen through: the answer to an order that nobody reads would be taken for that to the next one.
        await asyncio.gather(*self._starting, return_exceptions=True)
        for role in tuple(self._daemons):
            self._kill(role, signal.SIGKILL)
        await self.until(self._has_no_daemons, "the end of the daemons")
        for claim in self.data_dir.glob(f"{TENANT}/runs*/*/launch-*/shim.json"):
            guest = guest_of(claim.parent)
            if guest is not None:
                guest.kill_shim()
        if self._runtime is not None:
            await asyncio.to_thread(remove_control_groups, self.data_dir)
        if self.is_sqlite and self._connection is not None:
            self._connection.close()
            self._connection = None

    async def close(self) -> None:
        """End what runs and let the database go."""
        await self.end()
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    # Daemons

    async def _start(self, role: str) -> None:
        log = self.directory / f"{role}.log"
        said = log.stat().st_size if log.exists() else 0
        pid, pidfd = await self._parent.fork(
            {
                "role": role,
                "log": str(log),
                "environment": self._environment,
                "lease_ms": _LEASE_MS,
                "plan": None if self._template is None else str(self.plan.directory),
            }
        )
        self._daemons[role] = (pid, pidfd)
        asyncio.get_running_loop().add_reader(pidfd, self._on_death, role, pidfd)

        async def serves() -> bool:
            if self._daemons.get(role) != (pid, pidfd):
                return True  # it is dead already, and another one is on its way
            return log.exists() and b" serves" in log.read_bytes()[said:]

        await self.until(serves, f"{role} that serves")

    def _on_death(self, role: str, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        self._daemons.pop(role, None)
        if self._dies_as_told:
            self._dies_as_told = False
        else:
            self.deaths.append(role)
        if self._keeping:
            task = asyncio.get_running_loop().create_task(self._start(role))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)

    def _kill(self, role: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._daemons[role][1], number)

    async def kill_environment(self) -> None:
        """A death that is part of the run; another environment is started."""
        pid = self.pid_of("environment")
        self._dies_as_told = True
        self._kill("environment", signal.SIGKILL)

        async def is_another() -> bool:
            return self.pid_of("environment") not in (None, pid)

        await self.until(is_another, "another environment")

    def left_of_containers(self) -> list[str]:
        """What of containers is there, with processes beside the daemons."""
        if self._runtime is None:
            return []
        return [*left_of_containers(self.data_dir), *self._processes_of_containers()]

    def _processes_of_containers(self) -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if f"{self.data_dir}/" in command:
                    found.append(command)
        return found

    async def _has_no_daemons(self) -> bool:
        return not self._daemons

    async def stop(self) -> None:
        """End both daemons in good order."""
        self._keeping = False
        for role in DAEMONS:
            self._kill(role, signal.SIGTERM)
        await self.until(self._has_no_daemons, "the end of the daemons")

    def pid_of(self, role: str) -> int | None:
        """Of a daemon that runs."""
        return self._daemons[role][0] if role in self._daemons else None

    # What the outside does

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str) -> Any:
        """The first true value of a condition; `StuckError` when it does not come."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (value := await condition()):
            if time.monotonic() > deadline:
                raise StuckError(f"waited {DEADLINE_SECONDS:g} s in vain for {what}")
            await asyncio.sleep(_POLL_SECONDS)
        return value

    def caller(self) -> AbstractAsyncContextManager[Persist]:
        """What makes calls of the environment until they are answered."""
        return persistent_caller(self._settings, DEADLINE_SECONDS)

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """What is stored about this run, read behind the daemons' back; `{id}` stands for the instance."""
        statement = statement.format(id=f"'{self.instance_id}'")
        if self.is_sqlite:
            return [dict(row) for row in self._connection.execute(statement).fetchall()]
        return [dict(row) for row in await self._connection.fetch(statement)]

    def witness(self) -> list[list[Any]]:
        """What the program did."""
        if self._runtime is not None:
            return read_witness(self.data_dir / TENANT / "runs" / self.instance_id)
        return read_witness(self.plan.directory)

    def transcript(self) -> str:
        """The end of what was said."""
        logs = [
            *sorted(self.directory.glob("*.log")),
            *sorted(self.data_dir.glob(f"{TENANT}/runs*/*/launch-*/stderr.log")),
        ]
        return "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in logs)


async def make_template(
    directory: Path, parent: DaemonParent, server_url: str | None, *, runtime: str | None = None
) -> Template:
    """Let both daemons make what every run begins with; PostgreSQL where `server_url` is."""
    directory.mkdir()
    program = PROGRAM if runtime is None else _self_contained(directory)
    url = f"sqlite:///{directory}/runtara.db" if server_url is None else await create_database(server_url)
    slot = Slot(directory, parent, url, None)
    try:
        await slot.begin("", None)
        async with slot.caller() as persist:
            image, _ = await persist(lambda sdk: sdk.register_image_stream(TENANT, "paths", program))
        await slot.stop()
    finally:
        await slot.close()
    return Template(slot.data_dir, url, image.image_id)


def _self_contained(directory: Path) -> Path:
    """The program with the modules of the tests that it imports, which no container sees."""
    source = directory / "program"
    source.mkdir()
    shutil.copyfile(PROGRAM, source / "__main__.py")
    for name in _MODULES_OF_PROGRAM:
        shutil.copyfile(Path(__file__).with_name(name), source / name)
    path = directory / "paths.pyz"
    zipapp.create_archive(source, path, interpreter="/usr/bin/env python3")
    return path


async def make_slot(
    directory: Path, parent: DaemonParent, template: Template, server_url: str | None, *, runtime: str | None = None
) -> Slot:
    """A slot with a database of its own."""
    directory.mkdir()
    url = f"sqlite:///{directory}/runtara.db"
    if server_url is not None:
        url = await create_database(server_url, template=database_name(template.database_url))
    return Slot(directory, parent, url, template, runtime=runtime)


async def drop(slot_or_template: Slot | Template, server_url: str | None) -> None:
    """Drop the database that was made for it."""
    if server_url is not None:
        await drop_database(server_url, slot_or_template.database_url)


def _file(database_url: str) -> Path:
    return Path(database_url.removeprefix("sqlite:///"))
