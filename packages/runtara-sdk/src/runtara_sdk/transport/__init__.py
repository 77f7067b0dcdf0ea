"""Transports: one stream a call, one request and one response frame, deadlines everywhere.

    client = open_client("127.0.0.1:8001", ca_file=ca_file)  # or "unix:///run/runtara/core.sock"
    answer = await client.call(b"question")

What is here is common to both transports: `quic`, for servers anywhere, and `local`, for those of the same machine.
What the payloads mean is not known here.
"""

from runtara_sdk.transport.address import parse_address
from runtara_sdk.transport.call_server import (
    PayloadHandler,
    RequestStream,
    StreamHandler,
    payload_handler,
    read_request,
)
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.opening import TransportClient, open_client
from runtara_sdk.transport.settings import ServerSettings, TlsIdentity

__all__ = [
    "ConnectionLostError",
    "PayloadHandler",
    "RequestStream",
    "ServerSettings",
    "StreamHandler",
    "TlsIdentity",
    "TransportClient",
    "open_client",
    "parse_address",
    "payload_handler",
    "read_request",
]
