"""The QUIC libraries: the only module that imports aioquic or qh3.

aioquic is the default. qh3 (extra `fast`) has the same interface with a native core and is several times faster. What
differs between them is told here and nowhere else.
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

from runtara_sdk.errors import ConfigurationError
from runtara_sdk.transport.address import is_loopback
from runtara_sdk.transport.settings import TlsIdentity

# aioquic reports every handshake at level info, qh3 every goodbye as a warning.
logging.getLogger("quic").setLevel(logging.ERROR)

LIBRARY_VARIABLE = "RUNTARA_QUIC_LIBRARY"
RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024
"""How far a sender may run ahead of the reader of a stream."""

CONNECTION_ID_LENGTH = 8
_SMALL_DATAGRAM_BYTES = 1_200
_LOOPBACK_DATAGRAM_BYTES = 14_000
_INITIAL_PACKET_BITS = 0x00
_MANY_STREAMS = 16
_LONG_HEADER = 0x80

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


@dataclass(frozen=True, slots=True)
class ReceivedHeader:
    """The invariant part of a QUIC packet."""

    version: int | None
    destination_id: bytes
    source_id: bytes
    is_initial: bool
    token: bytes = b""


EngineFactory = Callable[[bytes, int, bytes | None], QuicEngine]
"""Makes a server's engine from the client's very first destination id, the usable datagram size, and the source id of
the retry packet if there was one."""


class QuicLibrary:
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

    def warm_up(self) -> None:
        """Do what the first handshake of a process does once; qh3 seeds its random numbers for some 50 ms."""
        nobody = ClientSecurity("localhost", ca_file=None, verify=False)
        self.client_engine(nobody, idle_timeout_ms=1_000, on_loopback=False).connect(("127.0.0.1", 9), now=0.0)

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

    def bytes_to_send(self, engine: QuicEngine, stream_id: int) -> int:
        """Bytes of a stream that are queued and have not left yet."""
        raise NotImplementedError

    def has_unsent(self, engine: QuicEngine) -> bool:
        """Whether bytes wait to be sent, which what was just received may have allowed."""
        raise NotImplementedError

    def discard_unsent(self, engine: QuicEngine, stream_id: int) -> None:
        """Let go of the queued bytes of a stream that was reset."""

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

    def _allow_large_datagrams(self, configuration: Any, datagram_bytes: int) -> None:
        """Use datagrams of this size, where the library can."""

    def _adapt(self, engine: Any, max_streams: int) -> QuicEngine:
        raise NotImplementedError


class Aioquic(QuicLibrary):
    """aioquic, in Python. Its private parts used here exist in all of 1.x and are covered by the fault tests."""

    name = LibraryName.AIOQUIC
    concurrent_streams = 1_000

    def __init__(self) -> None:
        from aioquic.quic import configuration, connection, events, packet

        super().__init__(configuration, _bounded_connection_class(connection.QuicConnection, packet), events, packet)

    def bytes_to_send(self, engine: QuicEngine, stream_id: int) -> int:
        stream = engine._streams.get(stream_id)  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return 0 if stream is None else len(stream.sender._buffer)  # noqa: SLF001

    def has_unsent(self, engine: QuicEngine) -> bool:
        queue = engine._streams_queue  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return len(queue) > _MANY_STREAMS or any(not stream.sender.buffer_is_empty for stream in queue)

    def discard_unsent(self, engine: QuicEngine, stream_id: int) -> None:
        # aioquic keeps them until the peer has acknowledged the reset, which it may never do.
        stream = engine._streams.get(stream_id)  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        if stream is not None:
            stream.sender._buffer.clear()  # noqa: SLF001

    def discard_buffers(self, engine: QuicEngine) -> None:
        # An engine refers to itself, so it lives on until cycles are collected.
        for stream in engine._streams.values():  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
            stream.sender._buffer = bytearray()  # noqa: SLF001
            stream.receiver._buffer = bytearray()  # noqa: SLF001

    def received_bytes(self, engine: QuicEngine) -> int:
        received: int = engine._local_max_data.used  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return received

    def unordered_bytes(self, engine: QuicEngine) -> int:
        streams = engine._streams  # type: ignore[attr-defined]  # noqa: SLF001 - no public way
        return sum(len(stream.receiver._buffer) for stream in streams.values())  # noqa: SLF001

    def set_read_position(self, engine: QuicEngine, position: Callable[[int], int | None]) -> None:
        engine.read_position = position  # type: ignore[attr-defined]

    def _allow_large_datagrams(self, configuration: Any, datagram_bytes: int) -> None:
        configuration.max_datagram_size = datagram_bytes

    def _adapt(self, engine: Any, max_streams: int) -> QuicEngine:
        limit = engine._local_max_streams_bidi  # noqa: SLF001 - fixed at 128 otherwise
        limit.value = limit.sent = max_streams
        adapted: QuicEngine = engine
        return adapted


class Qh3(QuicLibrary):
    """qh3, in Rust. It bounds streams at 100 a connection and widens receive windows by itself."""

    name = LibraryName.QH3
    concurrent_streams = 100

    def __init__(self) -> None:
        from qh3.quic import configuration, connection, events, packet

        super().__init__(configuration, _patient_connection_class(connection.QuicConnection), events, packet)

    def bytes_to_send(self, engine: QuicEngine, stream_id: int) -> int:
        size: int = engine.get_send_buffer_size(stream_id)  # type: ignore[attr-defined]
        return size

    def has_unsent(self, engine: QuicEngine) -> bool:
        unsent: int = engine.get_send_buffer_size()  # type: ignore[attr-defined]
        return unsent > 0

    def can_open_stream(self, engine: QuicEngine) -> bool:
        allowed: int = engine.max_concurrent_bidi_streams  # type: ignore[attr-defined]
        return engine.get_next_available_stream_id() // 4 < allowed

    def _adapt(self, engine: Any, max_streams: int) -> QuicEngine:
        adapted: QuicEngine = engine
        return adapted


def select_library(name: LibraryName | str | None = None, variables: Mapping[str, str] | None = None) -> QuicLibrary:
    """The library of this name; None reads RUNTARA_QUIC_LIBRARY (default `auto`).

    Raises `ConfigurationError` when the name is unknown or the library is not installed.
    """
    wanted = name or (os.environ if variables is None else variables).get(LIBRARY_VARIABLE) or LibraryName.AUTO
    try:
        return _load(LibraryName(wanted))
    except ValueError:
        known = ", ".join(LibraryName)
        raise ConfigurationError(f"{LIBRARY_VARIABLE}={wanted!r} is not a QUIC library: use one of {known}") from None


@cache
def _load(name: LibraryName) -> QuicLibrary:
    if name is LibraryName.AIOQUIC:
        return Aioquic()
    try:
        return Qh3()
    except ImportError:
        if name is LibraryName.AUTO:
            return Aioquic()
        raise ConfigurationError(
            f"{LIBRARY_VARIABLE}=qh3, but qh3 is not installed: pip install 'runtara-sdk[fast]', or unset the variable"
        ) from None


def short_header_destination(data: bytes) -> bytes | None:
    """The destination id of a packet with a short header, as nearly all have; None for one with a long header."""
    return None if not data or data[0] & _LONG_HEADER else data[1 : 1 + CONNECTION_ID_LENGTH]


def parse_header(data: bytes) -> ReceivedHeader | None:
    """Read the invariant part (RFC 8999) of a datagram's first packet; None when it is not QUIC."""
    if len(data) < 1 + CONNECTION_ID_LENGTH:
        return None
    if not data[0] & _LONG_HEADER:
        return ReceivedHeader(None, data[1 : 1 + CONNECTION_ID_LENGTH], b"", is_initial=False)
    version = int.from_bytes(data[1:5], "big")
    destination_end = 6 + data[5]
    if data[5] > 20 or len(data) <= destination_end:
        return None
    source_end = destination_end + 1 + data[destination_end]
    if len(data) < source_end:
        return None
    is_initial = data[0] >> 4 & 0b11 == _INITIAL_PACKET_BITS
    return ReceivedHeader(
        version,
        data[6:destination_end],
        data[destination_end + 1 : source_end],
        is_initial=is_initial,
        token=_token(data, source_end) if is_initial else b"",
    )


def _token(data: bytes, position: int) -> bytes:
    """The token of an Initial packet: its length as a variable-length integer (RFC 9000, 16), then its bytes."""
    if position >= len(data):
        return b""
    length_bytes = 1 << (data[position] >> 6)
    start = position + length_bytes
    length = int.from_bytes(data[position:start], "big") & ((1 << (8 * length_bytes - 2)) - 1)
    return data[start : start + length] if start + length <= len(data) else b""


def _check_readable(path: Path, what: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the {what} {path}: {error.strerror or error}") from error


def _bounded_connection_class(base: Any, packet: Any) -> Any:
    """Aioquic doubles windows whatever the readers do; this ties those of stream and connection to the readers."""

    class BoundedConnection(base):  # type: ignore[misc]
        read_position: Callable[[int], int | None] = staticmethod(lambda stream_id: None)

        def _write_application(self, builder: Any, network_path: Any, now: float) -> None:
            # Acknowledgements ride on whatever is sent; the base class sends them apart, when their own time has come.
            space = self._loss.spaces[-1]
            if space.ack_at is not None and space.ack_at > now:
                space.ack_at = now
            super()._write_application(builder, network_path, now)

        def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
            if stream.is_blocked:
                return
            position = self.read_position(stream.stream_id)
            if position:
                limit = position + RECEIVE_WINDOW_BYTES
                if limit - stream.max_stream_data_local >= RECEIVE_WINDOW_BYTES // 2:
                    stream.max_stream_data_local = limit
            if stream.max_stream_data_local_sent != stream.max_stream_data_local:
                frame = builder.start_frame(
                    packet.QuicFrameType.MAX_STREAM_DATA,
                    capacity=1 + 8 + 8,
                    handler=self._on_max_stream_data_delivery,
                    handler_args=(stream,),
                )
                frame.push_uint_var(stream.stream_id)
                frame.push_uint_var(stream.max_stream_data_local)
                stream.max_stream_data_local_sent = stream.max_stream_data_local

        def _write_connection_limits(self, builder: Any, space: Any) -> None:
            # What is received and not yet taken does not move the window.
            max_data = self._local_max_data
            if max_data.value - max_data.used < 3 * RECEIVE_WINDOW_BYTES:
                limit = max_data.used - self._untaken_bytes() + 4 * RECEIVE_WINDOW_BYTES
                max_data.value = max(max_data.value, limit)
            # Half of the value is more than was used: so the base class sees no reason to double it.
            used, max_data.used = max_data.used, 0
            try:
                super()._write_connection_limits(builder, space)
            finally:
                max_data.used = used

        def _untaken_bytes(self) -> int:
            untaken = 0
            for stream in self._streams.values():
                highest = stream.receiver.highest_offset
                position = self.read_position(stream.stream_id)
                in_order = highest - len(stream.receiver._buffer)  # noqa: SLF001 - no public way
                untaken += highest - (in_order if position is None else min(position, highest))
            return untaken

    return BoundedConnection


def _patient_connection_class(base: Any) -> Any:
    """What qh3 2.1 needs to serve aioquic clients.

    Until a client's address is validated a server may send three times what it received. qh3 counts only the bytes of
    packets, not aioquic's padding behind them, and then fails ('packet builder capacity exhausted') instead of waiting.
    Nobody can forge a loopback address from outside, so there it counts as validated; elsewhere the failure is taken
    as the wait it should be, and the client's first retransmission (0.2 s) brings the missing allowance.
    """

    class PatientConnection(base):  # type: ignore[misc]
        _retry_source_connection_id: bytes | None

        def _create_core(self, remote_addr: Address, initial_dcid: bytes, now: float) -> None:
            if self._is_client or not is_loopback(remote_addr):
                super()._create_core(remote_addr, initial_dcid, now)
                return
            # The core reads "validated" off the retry that a client answered.
            answered, self._retry_source_connection_id = self._retry_source_connection_id, b""
            super()._create_core(remote_addr, initial_dcid, now)
            self._retry_source_connection_id = answered

        def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
            if self._handshake_complete or self._is_client or self._core is None:
                datagrams: list[tuple[bytes, Address]] = super().datagrams_to_send(now)
                return datagrams
            datagrams = []
            try:
                while (transmit := self._core.poll_transmit(now)) is not None:
                    datagrams.append((transmit[0], transmit[1]))
            except RuntimeError as error:
                if "capacity exhausted" not in str(error):
                    raise
            return datagrams

    return PatientConnection
