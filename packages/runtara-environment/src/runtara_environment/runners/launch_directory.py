"""The files of one launch, `RUN_DIRECTORY/launch-EPOCH/`, as written by the shim and read by any daemon."""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import marshal
import os
import re
import resource
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtara_core.guest_users import GuestUser

from runtara_environment import shim
from runtara_environment.logs.output_files import read_tail
from runtara_environment.plain_files import NotPlainFileError, read_plain_file
from runtara_environment.runner import LaunchSpec, ProcessExit
from runtara_environment.runners.process_identity import ProcessIdentity
from runtara_environment.tree_removal import remove_tree

KEPT_LAUNCHES = 5
"""How many launch directories of an instance stay, for people to look at."""

_MOST_OLD = 1_000
_NAME = re.compile(r"launch-(\d+)")
_FAILED_STAGES = ("prepare", "use the run directory of", "set the limits of", "execute", "change to the user of")
_EXECUTE_STAGE = 3
_MAX_REPORT_BYTES = 65_536
_NEVER_EXECUTABLE = frozenset(
    {
        errno.E2BIG,
        errno.EACCES,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELIBBAD,
        errno.ENOEXEC,
    }
)
"""What exec says of a program that can never be executed as it is; a host that lacks something has other errors."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who owns a launch: a shim (and later its program), or nobody because the launch was given up."""

    shim: ProcessIdentity | None
    program: ProcessIdentity | None

    @property
    def is_abandoned(self) -> bool:
        """Whether a daemon gave the launch up before its shim came to claim it."""
        return self.shim is None


@dataclass(frozen=True, slots=True)
class LaunchDirectory:
    """Paths, reading and writing of one launch's files."""

    run_directory: Path
    epoch: int

    @property
    def path(self) -> Path:
        """The launch directory."""
        return self.run_directory / f"launch-{self.epoch}"

    def create(self) -> None:
        """Make the directory; raises FileExistsError when this epoch was launched before."""
        self.run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.mkdir(mode=0o700)

    def write_spec(self, spec: LaunchSpec, user: GuestUser | None = None) -> Path:
        """Write what the shim reads and then removes; readable by the owner alone, for it holds the environment.

        The program becomes `user`; without one it keeps the user of the shim.
        """
        limits = spec.limits
        rlimits = [(resource.RLIMIT_CORE, 0)]
        for number, value in (
            (resource.RLIMIT_DATA, limits.memory_bytes),
            (resource.RLIMIT_FSIZE, limits.file_size_bytes),
            (resource.RLIMIT_NOFILE, limits.open_files),
            (resource.RLIMIT_NPROC, limits.processes),
        ):
            if value is not None:
                rlimits.append((number, value))
        data = {
            "launch_directory": str(self.path),
            "working_directory": str(self.run_directory),
            "epoch": self.epoch,
            "argv": list(spec.argv),
            "environment": dict(spec.environment),
            "rlimits": rlimits,
            "user": None if user is None else (user.user_id, user.group_id),
            "output_bytes": limits.output_bytes,
            "timeout_seconds": spec.timeout_seconds,
            "kill_grace_seconds": spec.kill_grace_seconds,
        }
        path = self.path / shim.SPEC_FILE
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(marshal.dumps(data))
        return path

    def require_own(self) -> None:
        """Raise OSError unless the directory is this user's, which no program can change any more then."""
        status = self.path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "a program has put something in the place of a launch", str(self.path))

    def read_claim(self) -> Claim | None:
        """Who owns the launch; None while nobody does."""
        data = self._read_json(shim.CLAIM_FILE)
        if data is None:
            return None
        return Claim(_identity(data, ""), _identity(data, "child_"))

    def give_up(self) -> bool:
        """Make sure that no shim starts this launch any more; False when one has claimed it already.

        Raises OSError when something else than a directory of this user is in its place.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.require_own()
        return shim.claim(str(self.path), json.dumps({"epoch": self.epoch, "abandoned": True}))

    def read_exit(self, program: str = "the program") -> ProcessExit | None:
        """The exit report, None while there is none; a damaged one says no more than that the launch has ended."""
        data = self._read_json(shim.EXIT_FILE)
        if data is None:
            return None
        try:
            return _process_exit(data, program)
        except (LookupError, TypeError, ValueError):
            return ProcessExit(None)

    def read_tail(self, name: str, limit_bytes: int) -> str:
        """The last bytes of an output file, across its rotation."""
        return read_tail(self.run_directory, self.epoch, name.removesuffix(".log"), limit_bytes).decode(
            "utf-8", errors="replace"
        )

    def _read_json(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads(read_plain_file(self.path / name, _MAX_REPORT_BYTES))
        except FileNotFoundError:
            return None
        except (NotPlainFileError, ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}


def old_launches(run_directory: Path) -> list[int]:
    """Epochs of launch directories beyond the newest `KEPT_LAUNCHES`, oldest first, at most `_MOST_OLD` at a time."""
    oldest = heapq.nsmallest(_MOST_OLD + KEPT_LAUNCHES, _epochs(run_directory))
    kept = set(heapq.nlargest(KEPT_LAUNCHES, _epochs(run_directory)))
    return [epoch for epoch in oldest if epoch not in kept][:_MOST_OLD]


def _epochs(run_directory: Path) -> Iterator[int]:
    """Of the launch directories, in no order and one after the other: a program can make millions of names."""
    with os.scandir(run_directory) as entries:
        for entry in entries:
            if match := _NAME.fullmatch(entry.name):
                yield int(match.group(1))


def remove_launches(run_directory: Path, epochs: Collection[int]) -> None:
    """Remove launch directories; what cannot be removed stays."""
    for epoch in epochs:
        with contextlib.suppress(OSError):
            remove_tree(LaunchDirectory(run_directory, epoch).path)


def failed_start(stage: int, number: int, program: str) -> ProcessExit:
    """The exit of a program that could not be started, from the stage and the error number that were reported."""
    executing = stage == _EXECUTE_STAGE
    reason = os.strerror(number)
    if executing and number == errno.ENOENT and Path(program).exists():
        reason = "its interpreter does not exist on this host"
    permanent = executing and number in _NEVER_EXECUTABLE
    if executing and number == errno.EACCES and os.access(program, os.X_OK):
        # The host's fault, which its operator can mend.
        reason = "the user that it runs as cannot reach it: see RUNTARA_NATIVE_USER and the modes of its directories"
        permanent = False
    return ProcessExit(
        None,
        started=False,
        error=f"cannot {_FAILED_STAGES[stage]} {program}: {reason}",
        permanent=permanent,
    )


def _process_exit(data: dict[str, Any], program: str) -> ProcessExit:
    if not data["started"]:
        return failed_start(int(data["stage"]), int(data["errno"]), program)
    return ProcessExit(
        exit_code=int(data["exit_code"]),
        memory_peak_bytes=int(data["memory_peak_bytes"]),
        cpu_usage_usec=int(data["cpu_usage_usec"]),
        timed_out=bool(data["timed_out"]),
    )


def _identity(data: dict[str, Any], prefix: str) -> ProcessIdentity | None:
    pid, start_time = data.get(f"{prefix}pid"), data.get(f"{prefix}start_time")
    if not isinstance(pid, int) or not isinstance(start_time, int):
        return None
    return ProcessIdentity(pid, start_time, str(data.get("boot_id", "")))
