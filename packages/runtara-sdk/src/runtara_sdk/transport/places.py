"""Where the daemons of a data directory have their local sockets, for those who look for them there."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from runtara_sdk.transport.address import fits, format_local_address

CORE_SOCKET = "core.sock"
"""Of core, for instances."""
CORE_MANAGEMENT_SOCKET = "core-admin.sock"
"""Of core, for environments."""
ENVIRONMENT_SOCKET = "environment.sock"
"""Of the environment."""

_DIRECTORY = ".sockets"
_LONGEST_NAME = "core-0123abcd.sock.lock"


def socket_path(data_dir: Path, name: str) -> Path:
    """The path of a socket of a data directory.

    It lies in `.sockets` of the data directory or, when that makes the path too long for a socket, in a directory for
    temporary files that belongs to the user and the data directory. Both are private to their owner. Whatever way the
    data directory is written, through links or not, its sockets are the same.
    """
    real = Path(os.path.realpath(data_dir)) / _DIRECTORY
    if not fits(real / _LONGEST_NAME):
        digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"runtara-{os.geteuid()}-{digest}" / name
    directory = data_dir.absolute() / _DIRECTORY
    return (directory if fits(directory / _LONGEST_NAME) else real) / name


def served_address(data_dir: Path, name: str) -> str | None:
    """The address of a socket of a data directory, when a daemon has made it; it may have ended since.

    What lies in a directory of another user counts for nothing: anybody may have put it there.
    """
    path = socket_path(data_dir, name)
    try:
        return format_local_address(path) if path.is_socket() and _is_trusted(path.parent) else None
    except OSError:  # a directory of somebody else
        return None


def _is_trusted(directory: Path) -> bool:
    """Whether a directory is this user's; root takes what is in a data directory, too, but no temporary files."""
    user = os.geteuid()
    return directory.lstat().st_uid == user or (user == 0 and directory.name == _DIRECTORY)
