"""Transports: one stream a call, one request and one response frame, deadlines everywhere.

    client = open_client("127.0.0.1:8001", ca_file=ca_file)  # or "unix:///run/runtara/core.sock"
    answer = await client.call(b"question")

What is here is common to both transports: `quic`, for servers anywhere, and `local`, for those of the same machine.
What the payloads mean is not known here. Names load when they are first used: who only reads an address pays for no
transport.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtara_sdk.transport.address import parse_address
    from runtara_sdk.transport.call_server import (
        PayloadHandler,
        RequestStream,
        StreamHandler,
        UploadHandler,
        payload_handler,
        read_request,
        upload_handler,
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
    "UploadHandler",
    "open_client",
    "parse_address",
    "payload_handler",
    "read_request",
    "upload_handler",
]

_HOMES = {
    "ConnectionLostError": "errors",
    "ServerSettings": "settings",
    "TlsIdentity": "settings",
    "TransportClient": "opening",
    "open_client": "opening",
    "parse_address": "address",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'call_server')}"), name)
    globals()[name] = value
    return value
