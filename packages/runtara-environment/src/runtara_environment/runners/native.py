"""Programs as plain processes: a session and limits of their own, and a user of their own where the daemon is root.

Without such a user there is no isolation: a program may read and kill whatever the daemon may. With one it reaches its
run directory, what everybody may read, and the network. See `guest_user_choice` for when there is one.

Every launch is owned by a shim process (see `runtara_environment.shim`), never by the daemon. A launch of this daemon
and one adopted from an earlier daemon are the same thing: wait for the shim's end on a pidfd, then read the exit file.
The exit file wins; a shim that is gone without one means that how the program ended is not known. A shim ends once
nothing of its launch lives, and is not killed before: what has detached itself is found by nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from runtara_core.guest_users import GuestUser, GuestUsers, wanted_users
from runtara_sdk.errors import ConfigurationError, InvalidInputError

from runtara_environment import shim
from runtara_environment.hookspecs import hookimpl
from runtara_environment.runner import (
    DEFAULT_TAIL_BYTES,
    Capability,
    LaunchedProcess,
    LaunchError,
    LaunchSpec,
    Limits,
    NetworkMode,
    ProcessExit,
    Runner,
    RunnerHost,
    RunnerProbe,
    StopError,
)
from runtara_environment.runners.guest_user_choice import UnusableUserError, choose_users
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.leftovers import kill_leftovers, session_time_usec
from runtara_environment.runners.process_identity import ProcessHandle, ProcessIdentity, current_boot_id
from runtara_environment.runners.run_directory_access import admit, remove_foreign
from runtara_environment.runners.tenant_users import NoUserLeftError, TenantUsers

logger = logging.getLogger(__name__)

_SHIM_LOG = "shim.log"
_GRIP_AGAIN_SECONDS = 0.5
_KILL_TIMEOUT_SECONDS = 10.0
_FORCE_TIMEOUT_SECONDS = 5.0

_DEFAULT_OPEN_FILES = 4_096
_DEFAULT_PROCESSES = 4_096
"""Of a program with a user of its own: stops a fork bomb before it takes the host's process numbers."""

_UNAVAILABLE = {
    "cpu_limit": "needs a cgroup: use a container runner",
    "process_limit": "it would count the daemon's own processes: use a container runner, or RUNTARA_NATIVE_USER",
    "tmp_limit": "the program shares the host's /tmp: use a container runner",
    "network_pasta": "the program shares the host's network: use a container runner",
    "network_none": "the program shares the host's network: use a container runner",
}


class NativeProcess(LaunchedProcess):
    """A launch owned by a shim; `handle` is None when the shim has ended."""

    def __init__(
        self, directory: LaunchDirectory, identity: ProcessIdentity | None, handle: ProcessHandle | None, program: str
    ) -> None:
        self._directory = directory
        self._identity = identity
        self._handle = handle
        self._program = program
        self._watch: asyncio.Task[ProcessExit] | None = None

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "run_directory": str(self._directory.run_directory),
            "epoch": self._directory.epoch,
            "program": self._program,
        }
        if self._identity is not None:
            state |= {
                "pid": self._identity.pid,
                "pid_start_time": self._identity.start_time,
                "boot_id": self._identity.boot_id,
            }
        return state

    async def wait(self) -> ProcessExit:
        return await asyncio.shield(self._watching())

    async def stop(self, grace_seconds: float) -> ProcessExit:
        watch = self._watching()
        if grace_seconds > 0 and await self._ends_after(signal.SIGTERM, grace_seconds, watch):
            return watch.result()
        if await self._ends_after(signal.Signals(shim.KILL_SIGNAL), _KILL_TIMEOUT_SECONDS, watch):
            return watch.result()
        if await asyncio.to_thread(self._is_given_up) and await self._ends_after(
            signal.SIGKILL, _FORCE_TIMEOUT_SECONDS, watch
        ):
            return watch.result()
        raise StopError(await asyncio.to_thread(self._what_lives))

    async def cpu_usage_usec(self) -> int | None:
        return await asyncio.to_thread(self._session_time)

    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        return await asyncio.to_thread(self._directory.read_tail, f"{stream}.log", limit_bytes)

    def _is_given_up(self) -> bool:
        """Make sure that the shim starts nothing any more; False when it may have started its program.

        Such a shim must live, however long it takes. Only it finds what the program has detached: once it is dead, the
        launch would count as ended while something of it runs on.
        """
        try:
            self._directory.require_own()
            return self._directory.give_up()
        except OSError:
            return False

    def _what_lives(self) -> str:
        """Which process does not end, where it belongs, and what to look at."""
        claim = self._directory.read_claim()
        pid = self._identity.pid if self._identity else "?"
        if claim is None or claim.program is None or claim.program.is_alive:
            return f"process {pid} in {self._directory.path} does not die: see `ps {pid}`"
        return (
            f"the program of {self._directory.path} is dead, but not all that it has started: "
            f"process {pid} goes on to kill it, see `ps --ppid {pid}`"
        )

    def _session_time(self) -> int:
        claim = self._directory.read_claim()
        return 0 if claim is None or claim.program is None else session_time_usec(claim.program)

    def _watching(self) -> asyncio.Task[ProcessExit]:
        if self._watch is None or has_failed(self._watch):  # what did not die then may have died since
            self._watch = asyncio.create_task(self._watch_exit(), name=f"watch {self._directory.path}")
        return self._watch

    async def _ends_after(self, number: signal.Signals, seconds: float, watch: asyncio.Task[ProcessExit]) -> bool:
        if self._handle is not None:
            self._handle.send(number)
            self._handle.send(signal.SIGCONT)  # for a shim that somebody has stopped: it is told that it shall end
        done, _ = await asyncio.wait({watch}, timeout=seconds)
        return bool(done)

    async def _watch_exit(self) -> ProcessExit:
        if self._handle is not None:
            await self._handle.wait_ended()
            self._handle.close()
            self._handle = None
        return await asyncio.to_thread(self._settle)

    def _settle(self) -> ProcessExit:
        """What is known once the shim has ended."""
        known = self._directory.read_exit(self._program)
        if known is not None:
            return known
        claim = self._directory.read_claim()
        if claim is None or claim.is_abandoned:
            reason = self._directory.read_tail(_SHIM_LOG, 300).strip().rpartition("\n")[2] or self._silent_reason()
            if claim is not None:
                reason = "the launch was given up"
            return ProcessExit(None, started=False, error=f"cannot start {self._program}: {reason}")
        if claim.program is not None and not kill_leftovers(
            claim.program, self._directory.run_directory, timeout_seconds=_FORCE_TIMEOUT_SECONDS
        ):
            raise StopError(f"processes of {self._directory.path} survive their shim and do not die")
        return ProcessExit(None)

    def _silent_reason(self) -> str:
        """Why a shim ended without a word: a full disk also takes what it says."""
        try:
            space = os.statvfs(self._directory.path)
        except OSError as error:
            return f"{self._directory.path}: {error.strerror}"
        if not space.f_bavail or (space.f_files and not space.f_favail):
            return f"no space left on the device of {self._directory.run_directory}"
        return "no reason given"


def has_failed(watch: asyncio.Task[ProcessExit]) -> bool:
    """Whether a task that waits for an end has given up, as it does when something does not die."""
    return watch.done() and not watch.cancelled() and watch.exception() is not None


class NativeRunner(Runner):
    """Runs programs as plain processes.

    Args:
        for_guests: False when the programs are parts of another runner: these run as the daemon's user, without limits
            that nobody asked for.
    """

    runner_type: ClassVar[str] = "native"

    def __init__(self, *, for_guests: bool = True) -> None:
        self._for_guests = for_guests
        self._host: RunnerHost | None = None
        self._users: GuestUsers | None = None
        self._has_chosen = not for_guests

    def check_settings(self) -> None:
        wanted_users()

    def prepare(self, host: RunnerHost) -> None:
        self._host = host

    async def probe(self) -> RunnerProbe:
        if sys.platform != "linux":
            return RunnerProbe(False, "none", reason=f"needs Linux, this is {sys.platform}")
        if not sys.executable:
            return RunnerProbe(False, "none", reason="the path of the Python interpreter is not known")
        try:
            users = await self._choose_users()
        except (UnusableUserError, ConfigurationError) as error:
            return RunnerProbe(False, "user", reason=str(error))
        capabilities = {name: Capability(False, reason) for name, reason in _UNAVAILABLE.items()}
        for name in ("memory_limit", "file_size_limit", "open_files_limit", "network_host"):
            capabilities[name] = Capability(True)
        if users is None:
            return RunnerProbe(True, "none", capabilities)
        capabilities["process_limit"] = Capability(True, "counts all processes of the program's user")
        return RunnerProbe(True, f"user, {users.label}", capabilities)

    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        try:
            users = await self._choose_users()
        except (UnusableUserError, ConfigurationError) as error:
            raise LaunchError(f"the native runner cannot launch: {error}", permanent=False) from error
        try:
            user = None if users is None else await asyncio.to_thread(self._user, users, spec.tenant_id)
        except NoUserLeftError as error:
            raise LaunchError(f"the native runner cannot launch: {error.message}", permanent=False) from error
        except OSError as error:
            raise LaunchError(f"the users of tenants cannot be kept: {error}", permanent=False) from error
        _check(spec, user)
        if self._for_guests:
            spec = replace(spec, limits=_with_defaults(spec.limits, user))
        directory = LaunchDirectory(spec.run_directory, spec.epoch)
        try:
            pid = await asyncio.to_thread(_spawn_shim, directory, spec, user)
        except FileExistsError as error:
            # The next claim has another epoch; a database that was set back comes to one whose launch is not here.
            raise LaunchError(
                f"{error.filename} exists: epoch {spec.epoch} was launched before", permanent=False
            ) from error
        except OSError as error:
            raise LaunchError(f"cannot launch in {directory.path}: {error.strerror}", permanent=False) from error
        identity, handle = await _grip(pid)
        return NativeProcess(directory, identity, handle, spec.argv[0])

    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        try:
            directory = LaunchDirectory(Path(str(state["run_directory"])), int(state["epoch"]))
            identity = None
            if "pid" in state:
                identity = ProcessIdentity(
                    int(state["pid"]), int(state["pid_start_time"]), str(state.get("boot_id", current_boot_id()))
                )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"this is not the state of a native launch: {dict(state)!r}") from error
        program = str(state.get("program", "the program"))
        return await asyncio.to_thread(_find, directory, identity, program)

    def _user(self, users: GuestUsers, tenant_id: str) -> GuestUser:
        return TenantUsers.of_host(users, self._host).of_tenant(tenant_id)

    async def _choose_users(self) -> GuestUsers | None:
        if not self._has_chosen:
            self._users = await asyncio.to_thread(choose_users, self._host)
            self._has_chosen = True
        return self._users


async def _grip(pid: int) -> tuple[ProcessIdentity | None, ProcessHandle | None]:
    """Identity and handle of a child that was spawned just now: it runs, whatever this process is short of."""
    while True:
        try:
            identity = ProcessIdentity.of_pid(pid)
            return identity, None if identity is None else ProcessHandle.open(identity)
        except OSError as error:
            logger.warning("process %d cannot be looked at yet: %s", pid, error)
        await asyncio.sleep(_GRIP_AGAIN_SECONDS)


def _find(directory: LaunchDirectory, identity: ProcessIdentity | None, program: str) -> NativeProcess | None:
    remove_foreign(directory.path)
    handle = None if identity is None else ProcessHandle.open(identity)
    if handle is not None or directory.read_exit() is not None:
        return NativeProcess(directory, identity, handle, program)
    if directory.read_claim() is None and directory.give_up():
        return None
    claim = directory.read_claim()
    if claim is None or claim.is_abandoned:
        return None
    if identity is None:  # the daemon died before it learned the pid
        identity = claim.shim
    handle = None if identity is None else ProcessHandle.open(identity)
    return NativeProcess(directory, identity, handle, program)


def _spawn_shim(directory: LaunchDirectory, spec: LaunchSpec, user: GuestUser | None) -> int:
    remove_foreign(directory.path)
    directory.create()
    if user is not None:
        admit(spec.run_directory, user)
    spec_path = directory.write_spec(spec, user)
    log = directory.path / _SHIM_LOG
    # The loader path lets an interpreter outside the system's folders start; the program never sees it.
    environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", str(Path(shim.__file__)), str(spec_path)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=shim.WATCHED_SIGNALS,  # blocked from birth: a stop that comes early is not lost
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
    )


def _with_defaults(limits: Limits, user: GuestUser | None) -> Limits:
    """The limits of a launch, with those that nobody gave."""
    processes = limits.processes or (None if user is None else _DEFAULT_PROCESSES)
    return replace(limits, open_files=limits.open_files or _DEFAULT_OPEN_FILES, processes=processes)


def _check(spec: LaunchSpec, user: GuestUser | None) -> None:
    problem = next(_problems(spec, user), None)
    if problem is not None:
        raise LaunchError(f"the native runner cannot launch {spec.instance_id}: {problem}", permanent=True)


def _problems(spec: LaunchSpec, user: GuestUser | None) -> Iterator[str]:
    yield from spec.malformed()
    if spec.limits.cpu_cores is not None:
        yield f"cpu limit: {_UNAVAILABLE['cpu_limit']}"
    if spec.limits.processes is not None and user is None:
        yield f"process limit: {_UNAVAILABLE['process_limit']}"
    if spec.limits.tmp_bytes is not None:
        yield f"limit of /tmp: {_UNAVAILABLE['tmp_limit']}"
    if spec.network is not NetworkMode.HOST:
        yield f"network {spec.network}: {_UNAVAILABLE['network_none']}"


@hookimpl
def runtara_runners() -> Iterable[type[Runner]]:
    """The native runner."""
    return (NativeRunner,)
