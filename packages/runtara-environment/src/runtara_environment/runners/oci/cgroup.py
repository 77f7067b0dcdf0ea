"""The control group of a launch: `/runtara/NAME`, with the container in a group below it.

The runtime removes the container's own group when the container ends. Its parent stays, so that the daemon can read the
peak of memory and the processor time, and kill what a killed runtime has left, before it removes that, too. Where
systemd makes the groups, the parent is the slice `runtara-NAME.slice`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtara_environment.runners.oci.systemd_units import PARENT, SCOPES, LaunchUnits, scope_names

_MOUNT = Path("/sys/fs/cgroup")
_CHILD = "container"
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Usage:
    """What a launch has used; None where the kernel does not tell."""

    memory_peak_bytes: int | None
    cpu_usage_usec: int | None


@dataclass(frozen=True, slots=True)
class CgroupHierarchy:
    """How control groups are mounted: one tree of version 2, or one tree for each controller of version 1.

    Attributes:
        mount: where they are mounted.
        use_systemd: systemd makes the groups (USE_SYSTEMD_CGROUP).
        scopes: where systemd describes scopes.
    """

    mount: Path = _MOUNT
    use_systemd: bool = False
    scopes: Path = SCOPES

    @property
    def is_unified(self) -> bool:
        """Whether it is version 2 alone."""
        return (self.mount / "cgroup.controllers").is_file()

    def controllers(self) -> frozenset[str]:
        """The controllers that can bound a container."""
        with contextlib.suppress(OSError):
            if self.is_unified:
                return frozenset((self.mount / "cgroup.controllers").read_text(encoding="ascii").split())
            return frozenset(entry.name for entry in self.mount.iterdir() if entry.is_dir())
        return frozenset()

    @property
    def limits_swap(self) -> bool:
        """Whether the kernel can bound swap."""
        if self.is_unified:
            return Path("/proc/swaps").exists()
        return (self.mount / "memory" / "memory.memsw.limit_in_bytes").exists()

    def container_path(self, name: str) -> str:
        """The member `linux.cgroupsPath` of the container of a launch."""
        units = self._units(name)
        return f"/{PARENT}/{name}/{_CHILD}" if units is None else units.container_path

    def group(self, name: str) -> LaunchCgroup:
        """The group of a launch."""
        directory = self._directory_name(name)
        return LaunchCgroup({tree: parent / directory for tree, parent in self._parents().items()}, self._units(name))

    def names(self, prefix: str) -> set[str]:
        """The names of all launches that have a group and begin with a prefix. Blocks."""
        first, _, last = self._directory_name("\0").partition("\0")
        found = scope_names(prefix, self.scopes) if self.use_systemd else set()
        for parent in self._parents().values():
            with contextlib.suppress(OSError):
                found |= {
                    entry.name.removeprefix(first).removesuffix(last)
                    for entry in parent.iterdir()
                    if entry.name.startswith(first + prefix) and entry.name.endswith(last) and entry.is_dir()
                }
        return found

    def _parents(self) -> dict[str, Path]:
        """The directories of the groups of all launches, by controller; under the empty name for version 2."""
        inner = f"{PARENT}.slice" if self.use_systemd else PARENT
        if self.is_unified:
            return {"": self.mount / inner}
        return {name: self.mount / name / inner for name in sorted(self.controllers())}

    def _directory_name(self, name: str) -> str:
        units = self._units(name)
        return name if units is None else units.slice_name

    def _units(self, name: str) -> LaunchUnits | None:
        return LaunchUnits(name, self.scopes) if self.use_systemd else None


@dataclass(frozen=True, slots=True)
class LaunchCgroup:
    """The group of a launch.

    Attributes:
        directories: by controller; under the empty name for version 2.
        units: what systemd has made, where it makes the groups.
    """

    directories: dict[str, Path]
    units: LaunchUnits | None = None

    def usage(self) -> Usage:
        """What the launch has used so far, or in all once it has ended."""
        unified = self.directories.get("")
        if unified is not None:
            cpu = _first_field(unified / "cpu.stat", "usage_usec")
            return Usage(_number(unified / "memory.peak"), cpu)
        memory, cpuacct = self.directories.get("memory"), self.directories.get("cpuacct")
        nanoseconds = None if cpuacct is None else _number(cpuacct / "cpuacct.usage")
        return Usage(
            None if memory is None else _number(memory / "memory.max_usage_in_bytes"),
            None if nanoseconds is None else nanoseconds // 1_000,
        )

    def kill(self, *, timeout_seconds: float) -> bool:
        """Kill whatever is in the group; whether all of it is gone. Blocks: call it in a thread."""
        give_up = time.monotonic() + timeout_seconds
        while pids := set(self._processes()):
            if time.monotonic() >= give_up:
                return False
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS)
        return True

    def remove(self) -> bool:
        """Remove the group; what is busy stays. Whether nothing of it is left. Blocks."""
        if not self._remove_units():
            return False
        for directory in self.directories.values():
            for each in (*_subdirectories(directory), directory):
                with contextlib.suppress(OSError):
                    each.rmdir()
        return not self._exists()

    def _remove_units(self) -> bool:
        """Whether there is nothing of systemd in the way; of what it knows, it would make the directories anew."""
        if self.units is None or not (self._exists() or self.units.has_scope):
            return True
        is_busy = next(self._processes(), None) is not None
        return not is_busy and self.units.remove()

    def _exists(self) -> bool:
        return any(directory.exists() for directory in self.directories.values())

    def _processes(self) -> Iterator[int]:
        for directory in self.directories.values():
            for each in (directory, *_subdirectories(directory)):
                with contextlib.suppress(OSError):
                    yield from map(int, (each / "cgroup.procs").read_text(encoding="ascii").split())


def _subdirectories(directory: Path) -> list[Path]:
    """All directories below, the deepest first."""
    return [Path(path) for path, _, _ in os.walk(directory, topdown=False) if Path(path) != directory]


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _first_field(path: Path, name: str) -> int | None:
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            field, _, value = line.partition(" ")
            if field == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return None
