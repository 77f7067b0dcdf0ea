"""The run directory of an instance, seen by the user that its program runs as.

The directory stays the daemon's and gets the program's group and the sticky bit: the program makes files of its own in
it, but neither removes nor replaces those of the daemon, such as the launch directories and the marks of the instance.

What a program has put there may lead anywhere. So nothing here follows a link, and each entry is looked at through the
descriptor by which it is changed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from runtara_core.guest_users import GuestUser

from runtara_environment.tree_removal import remove_tree

_DIRECTORY_MODE = 0o1770
_DEEPEST = 100
_SHOWN = frozenset({"input.json"})
"""Files of the daemon's that programs read. Any other may be a link to one of its files whose first name is gone."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def admit(run_directory: Path, user: GuestUser) -> None:
    """Let a user work in a run directory. Raises OSError."""
    run_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory = os.open(run_directory, _OPEN | os.O_DIRECTORY)
    try:
        os.fchown(directory, -1, user.group_id)
        os.fchmod(directory, _DIRECTORY_MODE)
        for name in _names(directory):
            if not name.startswith("launch-"):
                _admit_to_entry(directory, name, user)
    finally:
        os.close(directory)


def remove_foreign(launch_directory: Path) -> None:
    """Remove what an earlier program of the instance may have put in the place of a launch directory."""
    try:
        status = launch_directory.lstat()
    except FileNotFoundError:
        return
    if status.st_uid == os.geteuid() and stat.S_ISDIR(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        remove_tree(launch_directory)
    else:
        launch_directory.unlink()


def _admit_to_entry(directory: int, name: str, user: GuestUser) -> None:
    """Give a directory to the user, with all that is in it; let the user read a file of the daemon's."""
    descriptor = _open_entry(directory, name)
    if descriptor is None:
        return
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            if status.st_uid != user.user_id:
                _hand_over(descriptor, user)
        elif not _is_single_file(status):
            return
        elif status.st_uid == os.geteuid():
            if name not in _SHOWN:
                return
            os.fchown(descriptor, -1, user.group_id)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) | stat.S_IRGRP)
        elif status.st_uid != user.user_id:
            os.fchown(descriptor, user.user_id, user.group_id)
    finally:
        os.close(descriptor)


def _hand_over(directory: int, user: GuestUser, depth: int = 0) -> None:
    """Give a directory to the user after what is in it, so that one whose owner is right needs no second look."""
    if depth > _DEEPEST:
        raise OSError(errno.ELOOP, "directories are nested too deeply to be given to another user")
    # In a directory that a program has made, a file of the daemon's was linked there from elsewhere.
    of_daemon = os.fstat(directory).st_uid == os.geteuid()
    for name in _names(directory):
        descriptor = _open_entry(directory, name)
        if descriptor is None:
            continue
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                _hand_over(descriptor, user, depth + 1)
            elif _is_single_file(status) and (of_daemon or status.st_uid != os.geteuid()):
                os.fchown(descriptor, user.user_id, user.group_id)
        finally:
            os.close(descriptor)
    os.fchown(directory, user.user_id, user.group_id)


def _names(directory: int) -> Iterator[str]:
    """What is in a directory, one name after the other: a program can make millions."""
    with os.scandir(directory) as entries:
        for entry in entries:
            yield entry.name


def _open_entry(directory: int, name: str) -> int | None:
    try:
        return os.open(name, _OPEN, dir_fd=directory)
    except OSError:  # a link, a socket, or gone
        return None


def _is_single_file(status: os.stat_result) -> bool:
    """Whether it is a file that has no second name, which could be one of somebody else's."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
