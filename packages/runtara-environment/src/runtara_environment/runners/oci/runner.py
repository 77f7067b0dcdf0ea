"""Programs in containers: see the package for the parts.

A launch is one of the native runner, whose program is the runtime with the bundle of a container. So a container is
owned by a shim, survives the daemon and is adopted like any other process. Names of containers follow from run
directory and epoch, so that one whose launch was interrupted at any point is found and removed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from runtara_core.guest_users import GuestUser, GuestUsers
from runtara_sdk.errors import ConfigurationError

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
    StopError,
)
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.native import NativeRunner
from runtara_environment.runners.oci import systemd_units
from runtara_environment.runners.oci.bundle import (
    DEFAULT_CPU_CORES,
    DEFAULT_MEMORY_BYTES,
    DEFAULT_PROCESSES,
    DEFAULT_TMP_BYTES,
)
from runtara_environment.runners.oci.cgroup import CgroupHierarchy
from runtara_environment.runners.oci.container_process import (
    ContainerPlace,
    ContainerProcess,
    remove_left_groups,
    remove_stale,
)
from runtara_environment.runners.oci.launch_files import DEFAULT_OPEN_FILES, launch_command, prepare_launch
from runtara_environment.runners.oci.pasta import forwarded_port, try_pasta
from runtara_environment.runners.oci.runtime import Runtime, find_runtimes, runtime_environment
from runtara_environment.runners.oci.settings import OciSettings
from runtara_environment.runners.run_directory_access import remove_foreign
from runtara_environment.runners.tenant_users import NoUserLeftError, TenantUsers

_logger = logging.getLogger(__name__)

_TRIAL_SECONDS = 30.0
_BOUNDS = {"memory_limit": "memory", "cpu_limit": "cpu", "process_limit": "pids"}
"""What a control group bounds, by the controller that does it."""
_NO_BOUNDS = "a daemon that is not root has no control groups"


class OciRunner(Runner):
    """Runs programs in containers."""

    runner_type: ClassVar[str] = "oci"
    default_limits: ClassVar[Limits] = Limits(
        memory_bytes=DEFAULT_MEMORY_BYTES,
        cpu_cores=DEFAULT_CPU_CORES,
        processes=DEFAULT_PROCESSES,
        open_files=DEFAULT_OPEN_FILES,
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
            await asyncio.to_thread(prepare_launch, spec, place, directory, user)
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
            command = await asyncio.to_thread(launch_command, spec, place)
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
            except (LaunchError, StopError) as error:
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


def guest_user(tenant_id: str) -> int:
    """The user of the host that a tenant's programs run as, unless another tenant had it first."""
    return GuestUsers().of_tenant(tenant_id).user_id


@hookimpl
def runtara_runners() -> Iterable[type[Runner]]:
    """The OCI runner."""
    return (OciRunner,)
