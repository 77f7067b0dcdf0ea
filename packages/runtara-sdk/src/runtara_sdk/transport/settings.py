"""What a QUIC server needs to be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runtara_sdk.settings import EnvironmentReader


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A server's certificate chain and private key, both PEM files."""

    certificate_path: Path
    private_key_path: Path


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Address and bounds of a QUIC server.

    Attributes:
        host: address or name to listen on.
        port: UDP port; 0 lets the system choose.
        idle_timeout_ms: a connection that has been silent for so long is dropped.
        keep_alive_ms: ping a silent client this often; 0 never does.
        max_bidirectional_streams: calls that one connection may have open at a time (aioquic; qh3 allows 100).
        max_pending_handshakes: connections that may be in their handshake at a time; further ones are ignored.
        retry_above_handshakes: with so many handshakes pending, a new client has to prove its address first, which
            costs it a round trip and the server nothing.
        handshake_timeout_ms: a handshake that takes longer is dropped.
        max_connections: connections held at a time; for one more, the one that was silent longest and has no call
            open is dropped, or the newcomer ignored when there is none.
        max_streams: calls open at a time, over all connections. Over it, a connection that holds more than a fair
            share of them has its new calls refused.
        max_buffered_bytes: bytes of requests and responses held at a time, over all connections. Over it, a connection
            that holds more than a fair share of them loses the call that would hold more.
        max_handlers: calls handled at a time, over all connections, once their request has arrived; 0 sets no bound.
        request_deadline_ms: within this time a request frame must have arrived, and a response must have left.
        receive_buffer_bytes: of the UDP socket, best effort.
        send_buffer_bytes: of the UDP socket, best effort.
        port_setting: the name by which the user sets the port; error messages give it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    idle_timeout_ms: int = 120_000
    keep_alive_ms: int = 15_000
    max_bidirectional_streams: int = 1_000
    max_pending_handshakes: int = 10_000
    retry_above_handshakes: int = 64
    handshake_timeout_ms: int = 10_000
    max_connections: int = 4_096
    max_streams: int = 20_000
    max_buffered_bytes: int = 512 * 1024 * 1024
    max_handlers: int = 10_000
    request_deadline_ms: int = 60_000
    receive_buffer_bytes: int = 2 * 1024 * 1024
    send_buffer_bytes: int = 2 * 1024 * 1024
    port_setting: str = "the port"

    @classmethod
    def from_environment(
        cls, reader: EnvironmentReader, *, host: str, port: int, port_setting: str = "the port"
    ) -> Self:
        """Read the RUNTARA_QUIC_* variables. Raises `ConfigurationError` naming one that is unusable."""
        default = ServerSettings()
        return cls(
            host=host,
            port=port,
            port_setting=port_setting,
            idle_timeout_ms=reader.integer("RUNTARA_QUIC_IDLE_TIMEOUT_MS", default.idle_timeout_ms, minimum=1),
            keep_alive_ms=reader.integer("RUNTARA_QUIC_KEEP_ALIVE_MS", default.keep_alive_ms),
            max_bidirectional_streams=reader.integer(
                "RUNTARA_QUIC_MAX_BI_STREAMS", default.max_bidirectional_streams, minimum=1, maximum=2**60
            ),
            max_pending_handshakes=reader.integer(
                "RUNTARA_QUIC_MAX_INCOMING", default.max_pending_handshakes, minimum=1
            ),
            retry_above_handshakes=reader.integer("RUNTARA_QUIC_RETRY_ABOVE", default.retry_above_handshakes),
            handshake_timeout_ms=reader.integer(
                "RUNTARA_QUIC_HANDSHAKE_TIMEOUT_MS", default.handshake_timeout_ms, minimum=1
            ),
            max_connections=reader.integer("RUNTARA_QUIC_MAX_CONNECTIONS", default.max_connections, minimum=1),
            max_streams=reader.integer("RUNTARA_QUIC_MAX_STREAMS", default.max_streams, minimum=1),
            max_buffered_bytes=reader.integer(
                "RUNTARA_QUIC_MAX_BUFFERED_BYTES", default.max_buffered_bytes, minimum=1, maximum=2**50
            ),
            max_handlers=reader.integer("RUNTARA_QUIC_MAX_HANDLERS", default.max_handlers),
            request_deadline_ms=reader.integer(
                "RUNTARA_QUIC_REQUEST_DEADLINE_MS", default.request_deadline_ms, minimum=1
            ),
            receive_buffer_bytes=reader.integer(
                "RUNTARA_QUIC_UDP_RECV_BUFFER", default.receive_buffer_bytes, maximum=2**30
            ),
            send_buffer_bytes=reader.integer("RUNTARA_QUIC_UDP_SEND_BUFFER", default.send_buffer_bytes, maximum=2**30),
        )
