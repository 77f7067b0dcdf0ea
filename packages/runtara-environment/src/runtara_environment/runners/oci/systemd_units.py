"""What systemd makes for a launch when it makes the control groups (USE_SYSTEMD_CGROUP).

The runtime asks it for a scope, which holds the container. The scope ends with the container, and its group with it.
The scope lies in a slice of the launch's own, which keeps the readings. Nothing ends that but a request: systemd even
makes its directories anew where somebody else removes them.
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from runtara_environment.runners.oci.runtime import run_to_end

_logger = logging.getLogger(__name__)

PARENT = "runtara"
RUNNING_MARK = Path("/run/systemd/system")
"""A directory that is there where systemd is process 1."""
SCOPES = Path("/run/systemd/transient")
"""Where systemd keeps the description of a scope for as long as it knows it."""

_PREFIX = f"{PARENT}-"
_SCOPE = ".scope"
_COMMAND_SECONDS = 10.0
_NOT_LOADED = 5
_NO_PROGRAM = "there is no program systemctl"


@dataclass(frozen=True, slots=True)
class LaunchUnits:
    """The units of a launch.

    Attributes:
        name: of the launch's control group.
        scopes: where systemd describes scopes.
    """

    name: str
    scopes: Path = SCOPES

    @property
    def slice_name(self) -> str:
        """The unit of the launch, below that of all launches."""
        return f"{_PREFIX}{self.name}.slice"

    @property
    def scope_name(self) -> str:
        """The unit of the container."""
        return f"{_PREFIX}{self.name}{_SCOPE}"

    @property
    def container_path(self) -> str:
        """What a runtime makes the scope from: slice, prefix and name."""
        return f"{self.slice_name}:{PARENT}:{self.name}"

    @property
    def has_scope(self) -> bool:
        """Whether systemd knows the scope; one that failed stays, such as that of a process that was gone already."""
        return (self.scopes / self.scope_name).exists()

    def remove(self) -> bool:
        """End the slice, which kills what is in it, and forget the scope. Whether systemd has done it. Blocks."""
        try:
            code, complaint = _systemctl("stop", self.slice_name)
            if code not in (0, _NOT_LOADED):
                raise OSError(complaint or f"systemctl stop ended with {code}")
            if self.has_scope:
                _systemctl("reset-failed", self.scope_name)  # of one that is just going, it says that there is none
        except OSError as error:
            _logger.warning("systemd does not remove %s: %s", self.slice_name, error)
            return False
        return True


def scope_names(prefix: str, scopes: Path = SCOPES) -> set[str]:
    """The names of all launches that have a scope and begin with a prefix. Blocks."""
    found = scopes.glob(f"{_PREFIX}{prefix}*{_SCOPE}")  # none where there is no such directory
    return {path.name.removeprefix(_PREFIX).removesuffix(_SCOPE) for path in found}


def obstacle() -> str | None:
    """Why systemd can make no groups here, as far as that is seen without asking it."""
    if not RUNNING_MARK.is_dir():
        return f"systemd does not run here: there is no {RUNNING_MARK}"
    return _NO_PROGRAM if _program() is None else None


def _program() -> str | None:
    return shutil.which("systemctl", path=os.pathsep.join((os.environ.get("PATH", ""), os.defpath)))


def _systemctl(verb: str, unit: str) -> tuple[int, str]:
    """Its exit code and its last words."""
    program = _program()
    if program is None:
        raise OSError(_NO_PROGRAM)
    command = (program, "--quiet", "--no-ask-password", verb, "--", unit)
    # In a group of its own, since a signal to the group of the daemon, as of Ctrl-C, must not end it.
    done = run_to_end(command, _COMMAND_SECONDS, process_group=0)
    return done.returncode, done.stderr.strip().rpartition("\n")[2]
