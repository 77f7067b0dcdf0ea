"""Where the program of an instance runs: `DATA_DIR/<tenant>/runs/<instance>`, kept between its launches.

Instance ids belong to a database, and one data directory may serve several (a local run on SQLite and one on
PostgreSQL, or a database that was deleted and made anew). So a directory carries the name of its database, and the
instance of another one gets a directory beside it. It carries the instance's id as well, which its own name may hash.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from runtara_sdk.errors import InvalidInputError
from runtara_sdk.identifiers import path_component

from runtara_environment.data_directory_modes import make_passable, make_tenant_passable
from runtara_environment.plain_files import read_plain_file

_MARKER = "database-id"
_INSTANCE = "instance-id"
_MAX_MARKER_BYTES = 4_096


def choose_run_directory(data_dir: Path, tenant_id: str, instance_id: str, database_id: str) -> Path:
    """The directory of an instance of this database, made when missing; the same for every launch.

    Raises `InvalidInputError` when the names are taken, `OSError` when the data directory cannot be written.
    """
    candidates = _candidates(data_dir, tenant_id, instance_id, database_id)
    runs = candidates[0].parent
    make_tenant_passable(runs.parent)
    make_passable(runs)
    for candidate in candidates:
        candidate.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _marked(candidate / _MARKER, database_id) == database_id:
            _marked(candidate / _INSTANCE, instance_id)
            return candidate
    raise InvalidInputError(
        f"the run directories of instance {instance_id} in {candidates[0].parent} belong to other databases"
    )


def find_run_directory(data_dir: Path, tenant_id: str, instance_id: str, database_id: str) -> Path | None:
    """The directory of an instance of this database, when it has one on this host; raises `InvalidInputError`."""
    for candidate in _candidates(data_dir, tenant_id, instance_id, database_id):
        if instance_of(candidate, database_id) == instance_id:
            return candidate
    return None


def instance_of(directory: Path, database_id: str) -> str | None:
    """Whose directory it is; None unless it carries the names of this database and of an instance."""
    try:
        if _read(directory / _MARKER) != database_id:
            return None
        return _read(directory / _INSTANCE) or None
    except (OSError, UnicodeDecodeError):
        return None


def _candidates(data_dir: Path, tenant_id: str, instance_id: str, database_id: str) -> tuple[Path, Path]:
    runs = data_dir / path_component("tenant_id", tenant_id) / "runs"
    name = path_component("instance_id", instance_id)
    return (runs / name, runs / f"{name}~{database_id[:12]}")


def _marked(marker: Path, value: str) -> str:
    """What the marker says: `value` when it was missing, or emptied by a power failure soon after it was made."""
    try:
        is_empty = not _read(marker)
    except FileNotFoundError:
        with _written_beside(marker, value) as written, contextlib.suppress(FileExistsError):
            os.link(written, marker)  # whole or not at all, and never over another's
    else:
        if is_empty:
            with _written_beside(marker, value) as written, _locked(marker.parent.parent):
                if not _read(marker):  # nobody was faster
                    written.replace(marker)
    return _read(marker)


@contextlib.contextmanager
def _written_beside(marker: Path, value: str) -> Iterator[Path]:
    temporary = marker.with_name(f"{marker.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(value, encoding="utf-8")
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)  # half-written, too, on a full disk


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Alone among the daemons; raises `BlockingIOError` while another one is there, which is over in a moment."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _read(marker: Path) -> str:
    # Without users of their own, programs may have put anything in its place, such as a pipe that nobody writes to.
    return read_plain_file(marker, _MAX_MARKER_BYTES).decode()
