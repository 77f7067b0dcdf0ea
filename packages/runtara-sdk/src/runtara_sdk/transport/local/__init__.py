"""The local transport: the frames of the QUIC transport over a Unix stream socket, for programs on the daemon's host.

    server = await serve_local(payload_handler(respond, settings), settings, Path("/run/runtara/core.sock"))
    client = LocalClient(server.address)
    answer = await client.call(b"question")

Verbs, deadlines, bounds and gates are those of the QUIC transport. What is added is told in `framing`: messages that
name the call which they belong to, so that many calls share one connection. There is no encryption and no
certificate: the socket lies in a directory that its owner alone may enter, and the kernel tells who is at the other
end.
"""

from runtara_sdk.transport.local.client import LocalClient
from runtara_sdk.transport.local.server import LocalServer, serve_local
from runtara_sdk.transport.local.socket_file import (
    SocketInUseError,
    guest_directory,
    remove_guest_directory,
    remove_stale,
)

__all__ = [
    "LocalClient",
    "LocalServer",
    "SocketInUseError",
    "guest_directory",
    "remove_guest_directory",
    "remove_stale",
    "serve_local",
]
