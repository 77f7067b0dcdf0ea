"""Who is at the other end of a local socket, as the kernel tells."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Container
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("3i")

GUEST_USERS = range(1_900_000_000, 2_000_000_000)
"""Users of the host as whom launched programs run, one for each tenant; no account has one of these numbers."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A process; None where the system does not tell.

    Attributes:
        process_id: as seen by this process; 0 when it lives in a process namespace of its own.
        user_id: the effective user when it connected.
    """

    process_id: int | None = None
    user_id: int | None = None

    def __str__(self) -> str:
        if self.process_id is None:
            return "a process of this machine"
        return f"process {self.process_id} of user {self.user_id}"

    def is_one_of(self, users: Container[int]) -> bool:
        """Whether the process runs as one of `users`; yes where the system does not tell."""
        return self.user_id is None or self.user_id in users


def peer_of(connected: socket.socket | None) -> Peer:
    """The process that a connected socket leads to."""
    option = getattr(socket, "SO_PEERCRED", None)  # Linux; elsewhere the directory's mode has to do
    if option is None or connected is None:
        return Peer()
    process_id, user_id, _ = _CREDENTIALS.unpack(connected.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return Peer(process_id, user_id)


def own_and_root() -> frozenset[int]:
    """The users whom a socket of this process trusts unless told otherwise."""
    return frozenset({0, os.geteuid()})
