"""A launched container: the process of its runtime, and what is left to read and to clean up once that has ended."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from runtara_sdk.errors import InvalidInputError

from runtara_environment import shim
from runtara_environment.runner import DEFAULT_TAIL_BYTES, LaunchedProcess, ProcessExit, StopError
from runtara_environment.runners.launch_directory import LaunchDirectory
from runtara_environment.runners.leftovers import descendants_time_usec
from runtara_environment.runners.native import has_failed
from runtara_environment.runners.oci import container_init
from runtara_environment.runners.oci.cgroup import CgroupHierarchy, LaunchCgroup
from runtara_environment.runners.oci.outcome import outcome, read_reports
from runtara_environment.runners.oci.pasta import kill_left_pasta
from runtara_environment.runners.oci.runtime import Runtime

_logger = logging.getLogger(__name__)

EXCHANGE_FILE = "exchange"
RUNTIME_LOG = "runtime.log"
_OUTCOME_FILE = "container.json"
_LAUNCH_FILE = "launch"
_STALE_SECONDS = 600.0
_UNKEPT_SECONDS = 86_400.0
"""How long the files of a container stay whose end could not be kept: until then its launch is surely reported."""

_KILL_SECONDS = 10.0
_MAX_COMPLAINT_CHARACTERS = 400
_OWNER_DIGITS = 12
_LAUNCH_DIGITS = 28


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """Where a container's files are, and what made it.

    Attributes:
        bundle: directory of the bundle, named like the container.
        runtime: what runs it.
        program: what is executed in it, for people.
    """

    bundle: Path
    runtime: Runtime
    program: str

    @classmethod
    def of_launch(
        cls, bundles: Path, run_directory: Path, epoch: int, runtime: Runtime, program: str
    ) -> ContainerPlace:
        """That of a launch. Its name begins with that of the directory of bundles, for `remove_left_groups`."""
        name = owner_name(bundles) + _digest(f"{run_directory}\0{epoch}")[:_LAUNCH_DIGITS]
        return cls(bundles / name, runtime, program)

    @property
    def name(self) -> str:
        """The name of the container and of its control group."""
        return self.bundle.name

    def state(self) -> dict[str, Any]:
        """What `from_state` reads, as JSON-able data."""
        return {
            "bundle": str(self.bundle),
            "runtime": str(self.runtime.path),
            "use_systemd": self.runtime.use_systemd,
            "program": self.program,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ContainerPlace:
        """Raises `InvalidInputError` when it is not the state of a container."""
        try:
            runtime = Runtime(Path(str(state["runtime"])), bool(state["use_systemd"]))
            return cls(Path(str(state["bundle"])), runtime, str(state["program"]))
        except KeyError as error:
            raise InvalidInputError(f"this is not the state of a container: {dict(state)!r}") from error

    def note_launch(self, directory: LaunchDirectory) -> None:
        """Write down whose bundle it is, for `remove_stale`."""
        (self.bundle / _LAUNCH_FILE).write_text(str(directory.path), encoding="utf-8", errors="surrogateescape")

    def remove(self) -> None:
        """Kill what runs and remove every trace. Raises `StopError` when something does not die. Blocks."""
        group = CgroupHierarchy(use_systemd=self.runtime.use_systemd).group(self.name)
        if not group.kill(timeout_seconds=_KILL_SECONDS):
            raise StopError(f"processes of the container {self.name} do not die: see {group.directories}")
        if not kill_left_pasta(self.bundle):
            raise StopError(f"pasta of the container {self.name} does not die: see {self.bundle}")
        if (self.bundle / "state" / self.name).exists():
            with contextlib.suppress(OSError):  # nothing runs any more, so that its files are all that there is
                self.runtime.delete(self.bundle, self.name)
        group.remove()
        shutil.rmtree(self.bundle, ignore_errors=True)


class ContainerProcess(LaunchedProcess):
    """A container, by the shim that owns the process of its runtime."""

    def __init__(self, place: ContainerPlace, directory: LaunchDirectory, shim: LaunchedProcess) -> None:
        self._place = place
        self._directory = directory
        self._shim = shim
        self._finishing: asyncio.Task[ProcessExit] | None = None

    @property
    def state(self) -> dict[str, Any]:
        return self._shim.state | self._place.state()

    async def wait(self) -> ProcessExit:
        if self._finishing is None or has_failed(self._finishing):  # what did not die then may have died since
            self._finishing = asyncio.create_task(self._finish(), name=f"watch container {self._place.name}")
        return await asyncio.shield(self._finishing)

    async def stop(self, grace_seconds: float) -> ProcessExit:
        with contextlib.suppress(OSError):  # the container is gone
            (self._place.bundle / EXCHANGE_FILE).chmod(0o600 | container_init.STOP_MODE)
        await self._shim.stop(grace_seconds)
        return await self.wait()

    async def cpu_usage_usec(self) -> int | None:
        group = CgroupHierarchy(use_systemd=self._place.runtime.use_systemd).group(self._place.name)
        return await asyncio.to_thread(self._used_time, group)

    def _used_time(self, group: LaunchCgroup) -> int | None:
        used = group.usage().cpu_usage_usec
        if used is not None:
            return used
        # There is no control group, as without root: then all that descends from the runtime counts.
        claim = self._directory.read_claim()
        return None if claim is None or claim.program is None else descendants_time_usec(claim.program)

    async def output_tail(self, stream: Literal["stdout", "stderr"], *, limit_bytes: int = DEFAULT_TAIL_BYTES) -> str:
        return await self._shim.output_tail(stream, limit_bytes=limit_bytes)

    async def _finish(self) -> ProcessExit:
        ended = await self._shim.wait()
        return await asyncio.to_thread(self._settle, ended)

    def _settle(self, ended: ProcessExit) -> ProcessExit:
        """Read how the container ended and keep that, for it can be asked for after the container is gone."""
        kept = self._directory.path / _OUTCOME_FILE
        try:
            result = ProcessExit(**json.loads(kept.read_bytes()))
        except (OSError, TypeError, ValueError):
            place = self._place
            group = CgroupHierarchy(use_systemd=place.runtime.use_systemd).group(place.name)
            group.kill(timeout_seconds=_KILL_SECONDS)
            result = outcome(
                ended,
                read_reports(place.bundle / EXCHANGE_FILE),
                group.usage(),
                program=place.program,
                complaint=_complaint(place.bundle / RUNTIME_LOG),
            )
            try:
                _keep(result, kept)
            except OSError as error:  # such as a full disk
                # Told all the same. What it was read from stays, so that whoever asks again learns the same.
                _logger.warning("how the container %s ended cannot be kept: %s", place.name, error)
                return result
        self._place.remove()
        return result


def _keep(result: ProcessExit, path: Path) -> None:
    temporary = path.with_name(f"{_OUTCOME_FILE}.tmp")
    if path.parent.is_dir():
        temporary.write_text(json.dumps(asdict(result)), encoding="utf-8")
        temporary.replace(path)


def remove_stale(bundles: Path, runtime: Runtime) -> list[str]:
    """Remove the containers whose end is known or whose launch directory is gone; returns their names. Blocks.

    Nobody attaches to such a launch any more. A bundle that is not old may be in the making.
    """
    removed = []
    now = time.time()
    for bundle in bundles.iterdir() if bundles.is_dir() else ():
        with contextlib.suppress(OSError, StopError):  # another process was faster, or it does not die
            if _is_stale(bundle, now - bundle.stat().st_mtime):
                ContainerPlace(bundle, runtime, "").remove()
                removed.append(bundle.name)
    return removed


def remove_left_groups(bundles: Path, hierarchy: CgroupHierarchy) -> list[str]:
    """Remove the control groups of launches from this directory that have no bundle any more; returns names. Blocks.

    Such groups are left when runtime and daemon are killed and the directory is removed, or when the runtime was about
    to make them when they were removed. A launch makes its bundle before its group, and removes it behind that, so a
    group without a bundle is nobody's. One in which something runs stays, as do those of other directories.
    """
    removed = []
    for name in sorted(hierarchy.names(owner_name(bundles))):
        group = hierarchy.group(name)
        if not (bundles / name).exists() and group.remove():
            removed.append(name)
    return removed


def owner_name(bundles: Path) -> str:
    """What the names of all containers begin with that have their bundles in a directory."""
    return _digest(str(bundles))[:_OWNER_DIGITS]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _is_stale(bundle: Path, age_seconds: float) -> bool:
    if age_seconds < _STALE_SECONDS:
        return False
    try:
        launch = Path((bundle / _LAUNCH_FILE).read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        return (bundle / "config.json").exists() or (bundle / "rootfs").exists()
    if not launch.exists() or (launch / _OUTCOME_FILE).exists():
        return True
    return age_seconds > _UNKEPT_SECONDS and (launch / shim.EXIT_FILE).exists()


def _complaint(log: Path) -> str:
    """The last line of the runtime's log, without what surrounds its message."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    line = lines[-1] if lines else ""
    return line.partition('msg="')[2].rstrip('"')[:_MAX_COMPLAINT_CHARACTERS] or line[:_MAX_COMPLAINT_CHARACTERS]
