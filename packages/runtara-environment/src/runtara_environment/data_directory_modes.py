"""Who may read what of a data directory.

| Entry | Where programs have users of their own | Elsewhere |
|---|---|---|
| the directory itself | may be passed by all, listed by nobody | closed to writers |
| `images`, `layers` | may be passed by all; what is in them is read by whoever knows its digest | as they are |
| `tls` | may be passed, for `ca.pem`; everything else in it is closed | as it is; keys are closed |
| `.sockets` | see `runtara_sdk.transport.local.socket_file` | closed |
| `TENANT`, `TENANT/runs` | may be passed; each run directory is its tenant's alone | as they are |
| everything else in `TENANT`, such as scenarios | closed | as it is, until a program of the tenant is launched |
| databases with their side files | closed | closed |
| everything else | closed | as it is |

What is more open than that is closed when an environment starts, with a warning where somebody may have read secrets.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

PASSABLE = 0o711
_PASS = 0o011
_RUNS = "runs"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PASSABLE_ENTRIES = frozenset({"images", "layers"})
_SOCKETS = ".sockets"
_CERTIFICATES = "tls"
_PUBLIC_CERTIFICATES = frozenset({"ca.pem", "server.pem"})


def secure_data_directory(data_dir: Path, *, has_guest_users: bool) -> None:
    """Give the entries of a data directory the modes that they should have.

    Entries of other users are left alone, unless the caller is root; links are never followed. Raises OSError.
    """
    status = data_dir.stat()
    if not _is_ours(status):
        return
    if status.st_mode & _OTHERS_WRITE:
        logger.warning("the data directory %s could be written by others; it is closed to them now", data_dir)
    _set_mode(data_dir, status, PASSABLE if has_guest_users else status.st_mode & ~_OTHERS_WRITE)
    with os.scandir(data_dir) as entries:
        for entry in entries:
            _secure_entry(Path(entry.path), has_guest_users=has_guest_users)


def make_passable(directory: Path) -> None:
    """Make a directory that others may pass and not list; one that exists keeps its mode."""
    try:
        directory.mkdir(mode=PASSABLE, parents=True)
    except FileExistsError:
        return
    directory.chmod(PASSABLE)  # whatever the umask is


def make_tenant_passable(directory: Path) -> None:
    """Make the directory of a tenant one that its programs may pass; only `runs` in it is for them. Raises OSError.

    One that exists may have been made by somebody who compiles, and closed since then.
    """
    make_passable(directory)
    status = directory.lstat()
    if not stat.S_ISDIR(status.st_mode) or not _is_ours(status):
        return
    _close_beside_runs(directory)
    _set_mode(directory, status, status.st_mode | _PASS)


def _close_beside_runs(directory: Path) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if entry.name != _RUNS and not stat.S_ISLNK(status.st_mode) and _is_ours(status):
                _close(Path(entry.path), status)


def _secure_entry(path: Path, *, has_guest_users: bool) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode) or not _is_ours(status) or path.name == _SOCKETS:
        return
    if stat.S_ISREG(status.st_mode):
        if has_guest_users or ".db" in path.name:
            _close(path, status)
    elif not stat.S_ISDIR(status.st_mode):
        return
    elif path.name == _CERTIFICATES:
        _secure_certificates(path, status, has_guest_users=has_guest_users)
    elif not has_guest_users:
        return
    elif path.name in _PASSABLE_ENTRIES:
        _set_mode(path, status, PASSABLE)
    elif (path / _RUNS).is_dir():
        _close_beside_runs(path)
        for directory in (path, path / _RUNS):
            _set_mode(directory, directory.lstat(), PASSABLE)
    else:
        _close(path, status)


def _secure_certificates(directory: Path, status: os.stat_result, *, has_guest_users: bool) -> None:
    if has_guest_users:
        _set_mode(directory, status, PASSABLE)
    for path in directory.iterdir():
        found = path.lstat()
        if stat.S_ISREG(found.st_mode) and path.name not in _PUBLIC_CERTIFICATES:
            _close(path, found)


def _close(path: Path, status: os.stat_result) -> None:
    if not status.st_mode & _OTHERS:
        return
    if status.st_mode & (stat.S_IRGRP | stat.S_IROTH) and (".db" in path.name or path.name.endswith("-key.pem")):
        logger.warning("%s could be read by others, who may have seen secrets; it is closed to them now", path)
    _set_mode(path, status, status.st_mode & ~_OTHERS)


def _set_mode(path: Path, status: os.stat_result, mode: int) -> None:
    mode = stat.S_IMODE(mode)
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)


def _is_ours(status: os.stat_result) -> bool:
    return os.geteuid() in (0, status.st_uid)
