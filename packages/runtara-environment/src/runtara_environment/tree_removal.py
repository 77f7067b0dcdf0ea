"""Removal of a directory with all that programs have put there: links are not followed, no depth is too deep.

A program can nest directories deeper than any recursion and any number of open files goes. So a directory is not
entered: what it holds is moved up, to the directory that is removed, until everything lies there.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import uuid
from pathlib import Path

_NAMES_AT_ONCE = 10_000
_MOST_ROUNDS = 10_000
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path) -> None:
    """Remove a directory; one that is missing is no error. Raises OSError, also when `path` is a link."""
    try:
        top = os.open(path, _OPEN_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        while names := _some_names(top):
            for name in names:
                if not _unlink(name, top):
                    _remove_directory(name, top)
    finally:
        os.close(top)
    path.rmdir()


def _remove_directory(name: str, top: int) -> None:
    try:
        directory = os.open(name, _OPEN_DIRECTORY, dir_fd=top)
    except PermissionError:  # the owner may have closed it to itself
        os.chmod(name, stat.S_IRWXU, dir_fd=top)
        directory = os.open(name, _OPEN_DIRECTORY, dir_fd=top)
    try:
        os.fchmod(directory, stat.S_IRWXU)
        for _ in range(_MOST_ROUNDS):  # whoever adds names meanwhile does not keep this from its end
            names = _some_names(directory)
            for child in names:
                if not _unlink(child, directory):
                    os.rename(child, uuid.uuid4().hex, src_dir_fd=directory, dst_dir_fd=top)
            if len(names) < _NAMES_AT_ONCE:
                break
    finally:
        os.close(directory)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=top)


def _some_names(directory: int) -> list[str]:
    """As many names as are worth the memory: a program can make millions."""
    with os.scandir(directory) as entries:
        return [entry.name for entry in itertools.islice(entries, _NAMES_AT_ONCE)]


def _unlink(name: str, directory: int) -> bool:
    """Remove what is no directory; whether it was none."""
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=directory)
    return True
