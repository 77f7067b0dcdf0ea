"""A server in a process of its own, to be killed: transport_server.py LIBRARY PORT CERTIFICATE PRIVATE_KEY.

Prints its port when it listens. A request is `echo <bytes>`, `sleep <milliseconds>` or `fail`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runtara_sdk.transport import ServerSettings, TlsIdentity, payload_handler
from runtara_sdk.transport.quic import serve_quic


async def respond(payload: bytes) -> bytes:
    verb, _, rest = payload.partition(b" ")
    if verb == b"echo":
        return rest
    if verb == b"sleep":
        await asyncio.sleep(int(rest) / 1000)
        return b"slept"
    raise RuntimeError("the handler was asked to fail")


async def main(library: str, port: int, certificate: Path, private_key: Path) -> None:
    settings = ServerSettings(port=port)
    server = await serve_quic(
        payload_handler(respond, settings), settings, TlsIdentity(certificate, private_key), library=library
    )
    print(server.port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])))
