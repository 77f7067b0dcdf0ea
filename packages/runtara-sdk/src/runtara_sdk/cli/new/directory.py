"""A project on the disk: all of its files, or nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from runtara_sdk.errors import InvalidInputError

_DIRECTORY_MODE = 0o755


def write_project(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Write `files` (contents by path) as the new `directory`, and return its path.

    They are written beside it and moved there at once, so that a failure leaves nothing behind. Raises
    `InvalidInputError` when there is something in `directory` already, and `OSError` when the disk refuses.
    """
    _refuse_occupied(directory)
    made = _make_parents(directory.parent)
    try:
        aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
        try:
            for name, content in files.items():
                path = aside / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            aside.chmod(_DIRECTORY_MODE)  # temporary directories are readable by their owner only
            _move(aside, directory)
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # it is there only when something failed
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise
    return directory


def _refuse_occupied(directory: Path) -> None:
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InvalidInputError(f"{directory} exists and is no directory; remove it, or give --output-directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise InvalidInputError(f"{directory} exists and is not empty; remove it, or give --output-directory")


def _make_parents(parent: Path) -> list[Path]:
    """Make a directory with its parents; what was made, the innermost first."""
    missing = [each for each in (parent, *parent.parents) if not each.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    return missing


def _move(aside: Path, directory: Path) -> None:
    try:
        if directory.is_dir():
            directory.rmdir()  # it is empty; not every system renames over a directory
        aside.rename(directory)
    except OSError:
        _refuse_occupied(directory)  # somebody else may have made it meanwhile
        raise
