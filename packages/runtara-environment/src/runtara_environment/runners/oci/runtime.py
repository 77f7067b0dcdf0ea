"""The program that makes containers: which one, and running it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_NAMES = ("crun", "runc")
_VERSION = re.compile(r"version\s+(\S+)")
_COMMAND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed runtime.

    Attributes:
        path: its program.
        use_systemd: systemd makes the control groups (USE_SYSTEMD_CGROUP).
    """

    path: Path
    use_systemd: bool = False

    def run_command(self, bundle: Path, name: str, log: Path) -> tuple[str, ...]:
        """Run the container of `bundle` to its end; it inherits descriptor 3."""
        return (*self._command(bundle), "--log", str(log), "run", "--preserve-fds", "1", "--bundle", str(bundle), name)

    def delete(self, bundle: Path, name: str) -> None:
        """Kill a container, if there is one, and forget it. Blocks: call it in a thread."""
        self._run(*self._command(bundle), "delete", "--force", name)

    def version(self) -> str:
        """Name and version, for people; raises OSError when the program does not say it."""
        found = _VERSION.search(self._run(str(self.path), "--version"))
        if found is None:
            raise OSError(f"{self.path} --version tells no version")
        return f"{self.path.name} {found.group(1)}"

    def _command(self, bundle: Path) -> tuple[str, ...]:
        systemd = ("--systemd-cgroup",) if self.use_systemd else ()
        return (str(self.path), *systemd, "--root", str(bundle / "state"))

    def _run(self, *command: str) -> str:
        return run_to_end(command, _COMMAND_SECONDS).stdout


def run_to_end(
    command: Sequence[str], seconds: float, *, process_group: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program of the host to its end, without a shell; raises OSError when it does not end in time. Blocks."""
    try:
        return subprocess.run(  # noqa: S603 - a program that the operator has installed
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env=runtime_environment(),
            process_group=process_group,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} does not answer within {seconds:g} s") from error


def runtime_environment() -> dict[str, str]:
    """The variables of a runtime: nothing but where it finds other programs."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def find_runtimes(wanted: str, *, use_systemd: bool) -> tuple[list[Runtime], str]:
    """The runtimes to try, in this order, and why there is none if there is none.

    Args:
        wanted: `auto`, a name or a path (RUNTARA_OCI_RUNTIME).
        use_systemd: see `Runtime`.
    """
    names = _NAMES if wanted == "auto" else (wanted,)
    found = [path for name in names if (path := shutil.which(name)) is not None]
    reason = f"neither {' nor '.join(_NAMES)} is installed" if wanted == "auto" else f"there is no program {wanted}"
    return [Runtime(Path(path).absolute(), use_systemd) for path in found], reason
