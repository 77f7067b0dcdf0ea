"""What the transport asks of a QUIC library.

aioquic is the default. qh3 (extra `fast`) has the same interface with a native core and is several times faster. What
differs between them is told in `aioquic_library` and `qh3_library`, which alone import them, and nowhere else.
`library_choice` selects one.
"""

from __future__ import annotations

import logging
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.quic.packet_header import CONNECTION_ID_LENGTH, ReceivedHeader
from runtara_sdk.transport.settings import TlsIdentity

# aioquic reports every handshake at level info, qh3 every goodbye as a warning.
logging.getLogger("quic").setLevel(logging.ERROR)

RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
"""How far a sender may run ahead of the reader of a stream."""

_SMALL_DATAGRAM_BYTES = 1_200
_LOOPBACK_DATAGRAM_BYTES = 14_000

Address = Any
"""What the socket module gives as the address of a peer."""


class LibraryName(StrEnum):
    """A QUIC library; `auto` is the fastest one that is installed."""

    AIOQUIC = "aioquic"
    QH3 = "qh3"
    AUTO = "auto"


class QuicEngine(Protocol):
    """A QUIC connection without I/O, as both libraries offer it."""

    host_cid: bytes

    def connect(self, addr: Address, now: float) -> None: ...
    def receive_datagram(self, data: bytes, addr: Address, now: float) -> None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]: ...
    def get_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...
    def next_event(self) -> Any: ...
    def get_next_available_stream_id(self, is_unidirectional: bool = ...) -> int: ...  # noqa: FBT001
    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = ...) -> None: ...  # noqa: FBT001
    def reset_stream(self, stream_id: int, error_code: int) -> None: ...
    def stop_stream(self, stream_id: int, error_code: int) -> None: ...
    def send_ping(self, uid: int) -> None: ...
    def close(self, error_code: int = 0, frame_type: int | None = None, reason_phrase: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """Whom a client trusts: the CA file (None: the public roots), or anybody when not verifying."""

    server_name: str
    ca_file: Path | None
    verify: bool


EngineFactory = Callable[[bytes, int, bytes | None], QuicEngine]
"""Makes a server's engine from the client's very first destination id, the usable datagram size, and the source id of
the retry packet if there was one."""


class QuicLibrary(ABC):
    """One of the two libraries, behind what the transport needs of it."""

    name: LibraryName
    concurrent_streams: int
    """Calls that a client keeps open at a time on one connection."""

    def __init__(self, configuration: Any, connection_class: Any, events: Any, packet: Any) -> None:
        self._configuration_class = configuration.QuicConfiguration
        self._connection_class = connection_class
        self._encode_version_negotiation = packet.encode_quic_version_negotiation
        self._encode_retry = packet.encode_quic_retry
        self.events = events

    def client_engine(self, security: ClientSecurity, *, idle_timeout_ms: int, on_loopback: bool) -> QuicEngine:
        """An engine that will connect to a server."""
        configuration = self._configuration(idle_timeout_ms, is_client=True)
        configuration.server_name = security.server_name
        if not security.verify:
            configuration.verify_mode = ssl.CERT_NONE
        elif security.ca_file is not None:
            configuration.load_verify_locations(cafile=str(security.ca_file))
        if on_loopback:
            self._allow_large_datagrams(configuration, _LOOPBACK_DATAGRAM_BYTES)
        return self._adapt(self._connection_class(configuration=configuration), self.concurrent_streams)

    def server_engine_factory(self, identity: TlsIdentity, *, idle_timeout_ms: int, max_streams: int) -> EngineFactory:
        """What makes the engines of a server."""
        _check_readable(identity.certificate_path, "certificate")
        _check_readable(identity.private_key_path, "private key")
        base = self._configuration(idle_timeout_ms, is_client=False)
        try:
            base.load_cert_chain(str(identity.certificate_path), str(identity.private_key_path))
        except Exception as error:
            raise ConfigurationError(
                f"{identity.certificate_path} and {identity.private_key_path} are not a PEM certificate and its "
                f"private key ({type(error).__name__}); replace them or delete both to have new ones made"
            ) from error

        @lru_cache(maxsize=4)
        def sized(datagram_bytes: int) -> Any:
            configuration = self._configuration(idle_timeout_ms, is_client=False)
            configuration.certificate = base.certificate
            configuration.certificate_chain = base.certificate_chain
            configuration.private_key = base.private_key
            self._allow_large_datagrams(configuration, datagram_bytes)
            return configuration

        def create(destination_id: bytes, datagram_bytes: int, retry_source_id: bytes | None) -> QuicEngine:
            # Two sizes only, so that the cache holds them all.
            large = datagram_bytes >= _LOOPBACK_DATAGRAM_BYTES
            engine = self._connection_class(
                configuration=sized(_LOOPBACK_DATAGRAM_BYTES if large else _SMALL_DATAGRAM_BYTES),
                original_destination_connection_id=destination_id,
                retry_source_connection_id=retry_source_id,
            )
            return self._adapt(engine, max_streams)

        return create

    def version_negotiation(self, header: ReceivedHeader) -> bytes:
        """The answer to a client that speaks another version of QUIC."""
        answer: bytes = self._encode_version_negotiation(
            source_cid=header.destination_id, destination_cid=header.source_id, supported_versions=[1]
        )
        return answer

    def retry(self, header: ReceivedHeader, source_id: bytes, token: bytes) -> bytes:
        """The packet that asks a client to come back with a token, and to `source_id`."""
        answer: bytes = self._encode_retry(
            version=1,
            source_cid=source_id,
            destination_cid=header.source_id,
            original_destination_cid=header.destination_id,
            retry_token=token,
        )
        return answer

    @abstractmethod
    def bytes_to_send(self, engine: QuicEngine, stream_id: int) -> int:
        """Bytes of a stream that are queued and have not left yet."""

    @abstractmethod
    def has_unsent(self, engine: QuicEngine) -> bool:
        """Whether bytes wait to be sent, which what was just received may have allowed."""

    @abstractmethod
    def discard_unsent(self, engine: QuicEngine, stream_id: int) -> None:
        """Let go of the queued bytes of a stream that was reset."""

    @abstractmethod
    def discard_buffers(self, engine: QuicEngine) -> None:
        """Let go of what a connection that is over has queued and received."""

    def received_bytes(self, engine: QuicEngine) -> int:
        """How far the peer's streams have come, gaps included, where the library tells."""
        return 0

    def unordered_bytes(self, engine: QuicEngine) -> int:
        """Bytes received that wait for earlier ones, where the library tells."""
        return 0

    def can_open_stream(self, engine: QuicEngine) -> bool:
        """Whether the peer allows one more stream now; when not, wait until it is heard again."""
        return True

    @abstractmethod
    def set_read_position(self, engine: QuicEngine, position: Callable[[int], int | None]) -> None:
        """Bind flow control to the readers: `position` tells how many bytes of a stream were taken."""

    def _configuration(self, idle_timeout_ms: int, *, is_client: bool) -> Any:
        return self._configuration_class(
            is_client=is_client,
            connection_id_length=CONNECTION_ID_LENGTH,
            idle_timeout=idle_timeout_ms / 1000,
            max_data=4 * RECEIVE_WINDOW_BYTES,
            max_stream_data=RECEIVE_WINDOW_BYTES,
            supported_versions=[1],
        )

    @abstractmethod
    def _allow_large_datagrams(self, configuration: Any, datagram_bytes: int) -> None:
        """Use datagrams of this size, where the library lets one choose."""

    @abstractmethod
    def _adapt(self, engine: Any, max_streams: int) -> QuicEngine:
        """The engine as the transport needs it, with room for so many streams of the peer."""


def _check_readable(path: Path, what: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the {what} {path}: {error.strerror or error}") from error
