"""The QUIC transport: TLS, any network, one stream a call.

    server = await serve_quic(payload_handler(respond, settings), settings, identity)
    client = QuicClient(server.address, ca_file=ca_file)
    answer = await client.call(b"question")

Both sides work without ALPN.
"""

from runtara_sdk.transport.quic.client import QuicClient
from runtara_sdk.transport.quic.library import LibraryName
from runtara_sdk.transport.quic.library_choice import select_library
from runtara_sdk.transport.quic.server import QuicServer, serve_quic

__all__ = ["LibraryName", "QuicClient", "QuicServer", "select_library", "serve_quic"]
