"""A server in a process of its own, to be killed: transport_server.py KIND PLACE CERTIFICATE PRIVATE_KEY.

KIND is a QUIC library, and PLACE a port; or `local`, and PLACE a path. Prints its address when it listens.
A request is `echo <bytes>`, `sleep <milliseconds>` or `fail`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runtara_sdk.transport import ServerSettings, TlsIdentity, payload_handler
from runtara_sdk.transport.local import serve_local
from runtara_sdk.transport.quic import serve_quic


async def respond(payload: bytes) -> bytes:
    verb, _, rest = payload.partition(b" ")
    if verb == b"echo":
        return rest
    if verb == b"sleep":
        await asyncio.sleep(int(rest) / 1000)
        return b"slept"
    raise RuntimeError("the handler was asked to fail")


async def main(kind: str, place: str, certificate: Path, private_key: Path) -> None:
    settings = ServerSettings(port=0 if kind == "local" else int(place))
    handler = payload_handler(respond, settings)
    server = (
        await serve_local(handler, settings, Path(place))
        if kind == "local"
        else await serve_quic(handler, settings, TlsIdentity(certificate, private_key), library=kind)
    )
    print(server.address, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
