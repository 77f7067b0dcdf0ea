"""Addresses of servers: `host:port`, `[ipv6]:port`, and `unix:///absolute/path` for a socket of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from runtara_sdk.errors import ConfigurationError

_LOCAL_SCHEME = "unix://"
_MOST_PATH_BYTES = 107 if sys.platform == "linux" else 103


def parse_address(address: str) -> tuple[str, int]:
    """Host and port. Raises `ConfigurationError` for anything else."""
    host, separator, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        separator = ""
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise ConfigurationError(
            f"{address!r} is not the address of a server: write host:port or [ipv6]:port, such as 127.0.0.1:8001"
        )
    return host, int(port)


def format_address(host: str, port: int) -> str:
    """The reverse of `parse_address`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: Any) -> bool:
    """Whether a socket address is of this machine."""
    host = str(address[0])
    return host == "::1" or host.startswith(("127.", "::ffff:127."))


def is_local(address: str) -> bool:
    """Whether an address names a local socket."""
    return address.startswith(_LOCAL_SCHEME)


def parse_local_address(address: str) -> Path:
    """The path of the socket. Raises `ConfigurationError` for anything else, and for a path that no socket can have."""
    path = Path(address.removeprefix(_LOCAL_SCHEME))
    if not is_local(address) or not path.is_absolute() or "\0" in address:
        raise ConfigurationError(
            f"{address!r} is not the address of a local socket: write unix:// and an absolute path, such as "
            "unix:///run/runtara/core.sock"
        )
    check_length(path)
    return path


def format_local_address(path: Path) -> str:
    """The reverse of `parse_local_address`."""
    return f"{_LOCAL_SCHEME}{path}"


def check_length(path: Path) -> None:
    """Raises `ConfigurationError` when the system allows no socket of so long a path."""
    if not fits(path):
        raise ConfigurationError(
            f"{path} has {len(os.fsencode(path))} bytes; the path of a socket may have {_MOST_PATH_BYTES}: "
            "choose a directory with a shorter path"
        )


def fits(path: Path) -> bool:
    """Whether a socket can have this path."""
    return len(os.fsencode(path)) <= _MOST_PATH_BYTES
