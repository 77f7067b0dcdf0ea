"""Ports for servers of tests, which have to be known before they are bound, or outlive a restart."""

from __future__ import annotations

import random
import socket

_PORTS = range(20_000, 32_768)
"""Below those that Linux gives to clients: there a client may be given the port of a server that is away."""

_TRIES = 1_000


def choose_port(kind: socket.SocketKind) -> int:
    """A port of 127.0.0.1 that nobody has now: `SOCK_DGRAM` for UDP, `SOCK_STREAM` for TCP."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("there is no free port for a server")
