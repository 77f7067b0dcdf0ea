"""QUIC transport: one stream a call, one request and one response frame, deadlines everywhere.

    server = await serve(payload_handler(respond, settings), settings, identity)
    client = QuicClient(server.address, ca_file=ca_file)
    answer = await client.call(b"question")

Both sides work without ALPN. What the payloads mean is not known here.
"""

from runtara_sdk.transport.address import parse_address
from runtara_sdk.transport.client import QuicClient
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.library import LibraryName, select_library
from runtara_sdk.transport.server import (
    PayloadHandler,
    QuicServer,
    RequestStream,
    StreamHandler,
    payload_handler,
    read_request,
    serve,
)
from runtara_sdk.transport.settings import ServerSettings, TlsIdentity

__all__ = [
    "ConnectionLostError",
    "LibraryName",
    "PayloadHandler",
    "QuicClient",
    "QuicServer",
    "RequestStream",
    "ServerSettings",
    "StreamHandler",
    "TlsIdentity",
    "parse_address",
    "payload_handler",
    "read_request",
    "select_library",
    "serve",
]
