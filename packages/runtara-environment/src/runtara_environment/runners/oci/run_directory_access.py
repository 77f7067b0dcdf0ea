"""The run directory of an instance, seen by the user that its program runs as in a container.

The directory stays the daemon's and gets the program's group and the sticky bit: the program makes files of its own in
it, but neither removes nor replaces those of the daemon, such as the launch directories and the marks of the instance.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

_DIRECTORY_MODE = 0o1770


def admit(run_directory: Path, user: int) -> None:
    """Let a user, and the group of the same number, work in a run directory. Raises OSError."""
    run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chown(run_directory, -1, user)
    run_directory.chmod(_DIRECTORY_MODE)
    for entry in os.scandir(run_directory):
        if not entry.name.startswith("launch-") and entry.stat(follow_symlinks=False).st_uid == os.geteuid():
            _hand_over(Path(entry.path), user)


def remove_foreign(launch_directory: Path) -> None:
    """Remove what an earlier program of the instance may have put in the place of a launch directory."""
    try:
        status = launch_directory.lstat()
    except FileNotFoundError:
        return
    if status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        shutil.rmtree(launch_directory)
    else:
        launch_directory.unlink()


def _hand_over(path: Path, user: int) -> None:
    """Give a directory of the daemon's to the user, let it read a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # a link, a socket
        return
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            os.fchown(descriptor, user, user)
        elif stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            os.fchown(descriptor, -1, user)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | stat.S_IRGRP)
    finally:
        os.close(descriptor)
