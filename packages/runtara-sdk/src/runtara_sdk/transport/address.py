"""Addresses of servers: `host:port`, `[ipv6]:port`."""

from __future__ import annotations

from typing import Any

from runtara_sdk.errors import ConfigurationError


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
