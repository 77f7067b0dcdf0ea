"""Programs in containers: see the package for the parts.

A launch is one of the native runner, whose program is the runtime with the bundle of a container. So a container is
owned by a shim, survives the daemon and is adopted like any other process. Names of containers follow from run
directory and epoch, so that one whose launch was interrupted at any point is found and removed.
"""

from __future__ import annotations

import asyncio
import logging
import marshal
import os
import resource
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from runtara_core.guest_users import GuestUser, GuestUsers
from runtara_sdk.errors import ConfigurationError
from runtara_sdk.settings import EnvironmentReader
from runtara_sdk.transport.local import guest_directory

from runtara_environment.hookspecs import hookimpl
from runtara_environment.runner import (
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
)
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.native import NativeRunner
from runtara_environment.runners.oci import container_init, systemd_units
from runtara_environment.runners.oci.bundle import (
    DEFAULT_CPU_CORES,
    DEFAULT_MEMORY_BYTES,
    DEFAULT_PROCESSES,
    DEFAULT_TMP_BYTES,
    INIT_PATH,
    Container,
    write_bundle,
)
from runtara_environment.runners.oci.cgroup import CgroupHierarchy
from runtara_environment.runners.oci.container_process import (
    EXCHANGE_FILE,
    RUNTIME_LOG,
    ContainerPlace,
    ContainerProcess,
    remove_left_groups,
    remove_stale,
)
from runtara_environment.runners.oci.host_files import host_files, without_nested
from runtara_environment.runners.oci.pasta import (
    DNS_VARIABLE,
    PastaSettings,
    command_in_network,
    find_pasta,
    forwarded_port,
    try_pasta,
)
from runtara_environment.runners.oci.runtime import Runtime, find_runtimes, runtime_environment
from runtara_environment.runners.run_directory_access import admit, remove_foreign
from runtara_environment.runners.tenant_users import NoUserLeftError, TenantUsers

_logger = logging.getLogger(__name__)

_DEFAULT_OPEN_FILES = 4_096
_TRIAL_SECONDS = 30.0
_BOUNDS = {"memory_limit": "memory", "cpu_limit": "cpu", "process_limit": "pids"}
"""What a control group bounds, by the controller that does it."""
_NO_BOUNDS = "a daemon that is not root has no control groups"
# The shell opens descriptor 3 and then becomes the runtime, which makes directories that the program has to pass.
_WITH_EXCHANGE = ("/bin/sh", "-c", 'umask 022; exec "$@" 3<> "$0"')


@dataclass(frozen=True, slots=True)
class OciSettings:
    """Variables of the runner.

    Attributes:
        runtime: `auto`, a name or a path (RUNTARA_OCI_RUNTIME).
        use_systemd: systemd makes the control groups (USE_SYSTEMD_CGROUP).
        pasta: of networks with translation.
    """

    runtime: str = "auto"
    use_systemd: bool = False
    pasta: PastaSettings = field(default_factory=PastaSettings)

    @classmethod
    def from_environment(cls, reader: EnvironmentReader | None = None) -> OciSettings:
        """Read the variables; raises `ConfigurationError` naming what is wrong."""
        reader = reader or EnvironmentReader()
        return cls(
            runtime=reader.text("RUNTARA_OCI_RUNTIME", "auto"),
            use_systemd=reader.boolean("USE_SYSTEMD_CGROUP", default=False),
            pasta=PastaSettings.from_text(reader.optional_text(DNS_VARIABLE)),
        )


class OciRunner(Runner):
    """Runs programs in containers."""

    runner_type: ClassVar[str] = "oci"
    default_limits: ClassVar[Limits] = Limits(
        memory_bytes=DEFAULT_MEMORY_BYTES,
        cpu_cores=DEFAULT_CPU_CORES,
        processes=DEFAULT_PROCESSES,
        open_files=_DEFAULT_OPEN_FILES,
        tmp_bytes=DEFAULT_TMP_BYTES,
    )

    _tried: ClassVar[dict[OciSettings, tuple[Runtime | None, str]]] = {}
    """What has been found to work in the life of this process, or why nothing does."""

    _pasta_problem: ClassVar[list[str]] = []
    """Why no network of pasta can be made, an empty text when one can; nothing while this process has not tried."""

    _swept: ClassVar[set[Path]] = set()
    """Directories of bundles in which this process has looked for stale ones."""

    def __init__(self) -> None:
        self._shims = NativeRunner(for_guests=False)  # the runtime itself needs root
        self._host: RunnerHost | None = None

    def prepare(self, host: RunnerHost) -> None:
        self._host = host

    def check_settings(self) -> None:
        wanted = OciSettings.from_environment().runtime
        found, reason = find_runtimes(wanted, use_systemd=False)
        if wanted != "auto" and not found:
            raise ConfigurationError(
                f"RUNTARA_OCI_RUNTIME={wanted!r}: {reason}: set it to auto, crun, runc, or the path of a runtime"
            )

    async def probe(self) -> RunnerProbe:
        settings = OciSettings.from_environment()
        runtime, text = await self._working_runtime(settings)
        if runtime is None:
            return RunnerProbe(False, "container", reason=text)
        if self._host is not None and self._host.bundles_directory is not None:
            await self._sweep(self._host.bundles_directory, runtime)
        controllers = await asyncio.to_thread(CgroupHierarchy().controllers)
        capabilities = {name: _bound(controller, controllers) for name, controller in _BOUNDS.items()}
        for name in ("file_size_limit", "open_files_limit", "tmp_limit", "network_host", "network_none"):
            capabilities[name] = Capability(True)
        capabilities["network_pasta"] = await self._network_of_pasta()
        kind = f"container without bounds, as user {os.geteuid()} of the host" if _is_rootless() else "container"
        return RunnerProbe(True, f"{kind}, {text}", capabilities)

    def core_obstacle(self, network: NetworkMode, core_address: str) -> str | None:
        if network is NetworkMode.PASTA:
            try:
                forwarded_port(core_address)
            except ConfigurationError as error:
                return error.message
        return None

    def planned_state(self, spec: LaunchSpec) -> dict[str, Any]:
        return super().planned_state(spec) | self._place(spec, self._expected_runtime()).state()

    async def launch(self, spec: LaunchSpec) -> LaunchedProcess:
        problem = next(_problems(spec), None)
        if problem is not None:
            raise LaunchError(f"no container can be made for {spec.instance_id}: {problem}", permanent=True)
        runtime, reason = await self._runtime(OciSettings.from_environment())
        if runtime is None:
            raise LaunchError(f"no container can be made: {reason}", permanent=False)
        return await self._launch(spec, runtime)

    async def attach(self, state: Mapping[str, Any]) -> LaunchedProcess | None:
        place = ContainerPlace.from_state(state)
        directory = LaunchDirectory(Path(str(state["run_directory"])), int(state["epoch"]))
        await asyncio.to_thread(remove_foreign, directory.path)
        shim = await self._shims.attach(state)
        if shim is None:
            await asyncio.to_thread(place.remove)
            return None
        return ContainerProcess(place, directory, shim)

    async def _launch(self, spec: LaunchSpec, runtime: Runtime) -> LaunchedProcess:
        place = self._place(spec, runtime)
        directory = LaunchDirectory(spec.run_directory, spec.epoch)
        await self._sweep(place.bundle.parent, runtime)
        try:
            user = await asyncio.to_thread(self._user, spec.tenant_id)
            await asyncio.to_thread(_prepare, spec, place, directory, user)
        except FileExistsError as error:
            # The next claim has another epoch; a database that was set back comes to one whose launch is not here.
            raise LaunchError(
                f"{error.filename} exists: epoch {spec.epoch} was launched before", permanent=False
            ) from error
        except NoUserLeftError as error:
            raise LaunchError(f"no container can be made: {error.message}", permanent=False) from error
        except OSError as error:
            await asyncio.to_thread(place.remove)
            raise LaunchError(f"cannot prepare {place.bundle}: {error.strerror or error}", permanent=False) from error
        try:
            command = await asyncio.to_thread(_command, spec, place)
            shim = await self._shims.launch(
                replace(
                    spec,
                    argv=command,
                    environment=runtime_environment(),
                    limits=Limits(output_bytes=spec.limits.output_bytes),
                    network=NetworkMode.HOST,
                )
            )
        except OSError as error:
            await asyncio.to_thread(place.remove)
            raise LaunchError(f"cannot prepare {place.bundle}: {error.strerror or error}", permanent=False) from error
        except LaunchError:
            await asyncio.to_thread(place.remove)
            raise
        return ContainerProcess(place, directory, shim)

    def _user(self, tenant_id: str) -> GuestUser | None:
        """As whom a tenant's programs run on the host; None where that is the daemon's own user."""
        return None if _is_rootless() else TenantUsers.of_host(GuestUsers(), self._host).of_tenant(tenant_id)

    async def _network_of_pasta(self) -> Capability:
        if not self._pasta_problem:
            self._pasta_problem.append(await asyncio.to_thread(try_pasta))
        return Capability(not self._pasta_problem[0], self._pasta_problem[0])

    async def _sweep(self, bundles: Path, runtime: Runtime) -> None:
        """Once in the life of this process, remove what killed ones have left of bundles and their control groups."""
        if bundles not in self._swept:
            self._swept.add(bundles)
            for name in await asyncio.to_thread(remove_stale, bundles, runtime):
                _logger.info("removed the container %s, whose instance is gone", name)
            for use_systemd in (False, True):  # the earlier process may have had another setting
                hierarchy = CgroupHierarchy(use_systemd=use_systemd)
                for name in await asyncio.to_thread(remove_left_groups, bundles, hierarchy):
                    _logger.info("removed the control group %s, whose container is gone", name)

    @staticmethod
    def _place(spec: LaunchSpec, runtime: Runtime) -> ContainerPlace:
        bundles = spec.bundles_directory or spec.run_directory.parent / "bundles"
        program = spec.argv[0] if spec.argv else "the program"
        return ContainerPlace.of_launch(bundles, spec.run_directory, spec.epoch, runtime, program)

    def _expected_runtime(self) -> Runtime:
        """The runtime that the next launch takes, as far as that is known without trying."""
        settings = OciSettings.from_environment()
        working, _ = self._tried.get(settings, (None, ""))
        if working is not None:
            return working
        found, _ = find_runtimes(settings.runtime, use_systemd=settings.use_systemd)
        return found[0] if found else Runtime(Path(settings.runtime), settings.use_systemd)

    async def _runtime(self, settings: OciSettings) -> tuple[Runtime | None, str]:
        """The runtime to launch with: one that was named is taken at its word."""
        if settings.runtime == "auto":
            return await self._working_runtime(settings)
        found, reason = find_runtimes(settings.runtime, use_systemd=settings.use_systemd)
        return (found[0] if found else None), reason

    async def _working_runtime(self, settings: OciSettings) -> tuple[Runtime | None, str]:
        """The first runtime in which a program runs, and its version; or None and why there is none."""
        if settings not in self._tried:
            self._tried[settings] = await self._try_runtimes(settings)
        return self._tried[settings]

    async def _try_runtimes(self, settings: OciSettings) -> tuple[Runtime | None, str]:
        problem = _unusable_host()
        if problem is not None:
            return None, problem
        found, reason = find_runtimes(settings.runtime, use_systemd=settings.use_systemd)
        reasons = [] if found else [reason]
        for runtime in found:
            try:
                version = await asyncio.to_thread(runtime.version)
                failure = await self._try(runtime)
            except OSError as error:
                failure = str(error)
            except LaunchError as error:
                failure = error.message
            if failure is None:
                return runtime, version
            reasons.append(f"{runtime.path.name}: {failure}")
        if found and settings.use_systemd:
            reasons.append("USE_SYSTEMD_CGROUP is set, so systemd has to answer on the bus of the system")
        return None, "; ".join(reasons)

    async def _try(self, runtime: Runtime) -> str | None:
        """Run a program that does nothing; None when that works, else why it does not."""
        with tempfile.TemporaryDirectory(prefix="runtara-probe-") as directory:
            argv = (sys.executable, "-I", "-S", "-c", "pass")
            spec = LaunchSpec("probe", "probe", 1, argv, {}, Path(directory) / "run", network=NetworkMode.NONE)
            process = await self._launch(spec, runtime)
            try:
                ended = await asyncio.wait_for(process.wait(), _TRIAL_SECONDS)
            except TimeoutError:
                await process.stop(0)
                return f"a container does not end within {_TRIAL_SECONDS:g} s"
            if ended.exit_code == 0:
                return None
            return ended.error or await _last_words(process, ended)


async def _last_words(process: LaunchedProcess, ended: ProcessExit) -> str:
    tail = (await process.output_tail("stderr")).strip()
    return tail.splitlines()[-1] if tail else f"a program that does nothing ended with {ended.exit_code}"


def _is_rootless() -> bool:
    """Whether containers are made without the rights of root, by the kernel's grace."""
    return os.geteuid() != 0


def _bound(controller: str, controllers: Collection[str]) -> Capability:
    if _is_rootless():
        return Capability(False, _NO_BOUNDS)
    if controller not in controllers:
        return Capability(False, f"the kernel has no cgroup controller {controller}")
    return Capability(True)


def _unusable_host() -> str | None:
    if sys.platform != "linux":
        return f"containers need Linux, this is {sys.platform}"
    if OciSettings.from_environment().use_systemd:
        if _is_rootless():
            return "USE_SYSTEMD_CGROUP needs a daemon that runs as root"
        obstacle = systemd_units.obstacle()
        if obstacle is not None:
            return f"USE_SYSTEMD_CGROUP is set, but {obstacle}"
    if not sys.executable:
        return "the path of the Python interpreter is not known"
    return None


def _problems(spec: LaunchSpec) -> Iterator[str]:
    yield from spec.malformed()
    limits = spec.limits
    if _is_rootless() and any(limit is not None for limit in (limits.memory_bytes, limits.cpu_cores, limits.processes)):
        yield f"bounds of memory, processor or processes: {_NO_BOUNDS}"


def _prepare(spec: LaunchSpec, place: ContainerPlace, directory: LaunchDirectory, user: GuestUser | None) -> None:
    """Write everything that the runtime and process 1 of the container read."""
    settings = OciSettings.from_environment()
    hierarchy = CgroupHierarchy(use_systemd=place.runtime.use_systemd)
    is_rootless = user is None
    host = host_files(with_network=spec.network is NetworkMode.HOST)
    exposed = [path for path in host.mounted if spec.run_directory.is_relative_to(path)]
    if exposed:
        raise OSError(f"{exposed[0]} is part of every container and holds the run directory {spec.run_directory}, too")
    sockets = tuple(path for path in spec.files if guest_directory(path).is_dir())
    shown = (path for path in (Path(spec.argv[0]), *spec.files) if path not in sockets and path.exists())
    wanted = (*host.mounted, *shown)
    files = [path for path in without_nested(wanted) if path not in host.mounted]
    limits = spec.limits
    write_bundle(
        Container(
            directory=place.bundle,
            cgroup_path=hierarchy.container_path(place.name),
            host_user=os.geteuid() if user is None else user.user_id,
            host_group=os.getegid() if is_rootless else None,
            is_rootless=is_rootless,
            # The program is the owner of these files, too; one of root's containers cannot open them.
            hidden=_launch_directories(spec.run_directory, directory.path) if is_rootless else (),
            argv=(sys.executable, "-I", "-S", str(INIT_PATH)),
            run_directory=spec.run_directory,
            host=host,
            init=Path(container_init.__file__),
            files=tuple(path for path in files if not path.is_relative_to(spec.run_directory)),
            sockets=sockets,
            settings=settings.pasta.files() if spec.network is NetworkMode.PASTA else {},
            network=spec.network,
            memory_bytes=limits.memory_bytes or DEFAULT_MEMORY_BYTES,
            cpu_cores=limits.cpu_cores or DEFAULT_CPU_CORES,
            processes=limits.processes or DEFAULT_PROCESSES,
            tmp_bytes=limits.tmp_bytes or DEFAULT_TMP_BYTES,
            limits_swap=hierarchy.limits_swap,
        )
    )
    place.note_launch(directory)
    descriptor = os.open(place.bundle / EXCHANGE_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(marshal.dumps(_specification(spec)))
    remove_foreign(directory.path)
    if user is not None:
        admit(spec.run_directory, user)


def _launch_directories(run_directory: Path, new: Path) -> tuple[Path, ...]:
    earlier = run_directory.glob("launch-*") if run_directory.is_dir() else ()
    return tuple(sorted({new, *(path for path in earlier if path.is_dir() and not path.is_symlink())}))


def _command(spec: LaunchSpec, place: ContainerPlace) -> tuple[str, ...]:
    """What the shim executes: the runtime, or what makes its network. Raises `LaunchError` where there is none."""
    log = place.bundle / RUNTIME_LOG
    runtime = place.runtime.run_command(place.bundle, place.name, log)
    command = (*_WITH_EXCHANGE, str(place.bundle / EXCHANGE_FILE), *runtime)
    if spec.network is not NetworkMode.PASTA:
        return command
    pasta, reason = find_pasta()
    if pasta is None:
        raise LaunchError(f"no container can be made: {reason}", permanent=False)
    try:
        port = forwarded_port(spec.core_address)
    except ConfigurationError as error:
        raise LaunchError(f"no container can be made: {error.message}", permanent=False) from error
    return command_in_network(pasta, place.bundle, log, command, port)


def _specification(spec: LaunchSpec) -> dict[str, Any]:
    """What process 1 of the container executes."""
    rlimits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, spec.limits.open_files or _DEFAULT_OPEN_FILES)]
    if spec.limits.file_size_bytes is not None:
        rlimits.append((resource.RLIMIT_FSIZE, spec.limits.file_size_bytes))
    return {
        "argv": list(spec.argv),
        "environment": dict(spec.environment),
        "working_directory": str(spec.run_directory),
        "rlimits": rlimits,
    }


def guest_user(tenant_id: str) -> int:
    """The user of the host that a tenant's programs run as, unless another tenant had it first."""
    return GuestUsers().of_tenant(tenant_id).user_id


@hookimpl
def runtara_runners() -> Iterable[type[Runner]]:
    """The OCI runner."""
    return (OciRunner,)
