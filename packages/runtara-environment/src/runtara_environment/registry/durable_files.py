"""Files that are there as a whole or not at all, whenever the process or the machine ends."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from runtara_environment.tree_removal import remove_tree

UNFINISHED_PREFIX = ".unfinished-"
REMOVED_PREFIX = ".removed-"
_ABANDONED_AFTER_SECONDS = 3600


@contextmanager
def new_file(target: Path, *, mode: int) -> Iterator[BinaryIO]:
    """A file to be written, which takes the place of `target` at once when the block ends well."""
    unfinished = target.with_name(f"{UNFINISHED_PREFIX}{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        unfinished.rename(target)
        flush_directory(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def flush_directory(path: Path) -> None:
    """Have the names in a directory survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_aside(path: Path) -> Path:
    """Take a file or directory from its place at once; `remove` it then, which a later sweep does for the killed."""
    aside = path.with_name(f"{REMOVED_PREFIX}{uuid.uuid4().hex}")
    path.rename(aside)
    return aside


def remove(path: Path) -> None:
    """Remove a file or directory that is nobody's any more."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(directory: Path, *further_prefixes: str) -> None:
    """Remove what killed processes have left in a directory: what was put aside, and what is unfinished for an hour."""
    oldest = time.time() - _ABANDONED_AFTER_SECONDS
    for leftover in directory.glob(f"{REMOVED_PREFIX}*"):
        remove(leftover)
    for prefix in (UNFINISHED_PREFIX, *further_prefixes):
        for leftover in directory.glob(f"{prefix}*"):
            try:
                if leftover.stat().st_mtime < oldest:
                    remove(leftover)
            except FileNotFoundError:
                continue
