"""qh3 as the transport uses it: a server that also serves aioquic clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtara_sdk.transport.address import is_loopback
from runtara_sdk.transport.quic.library import Address, LibraryName, QuicEngine, QuicLibrary


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

    def discard_unsent(self, engine: QuicEngine, stream_id: int) -> None:
        """Left to its core."""

    def discard_buffers(self, engine: QuicEngine) -> None:
        """Left to its core."""

    def set_read_position(self, engine: QuicEngine, position: Callable[[int], int | None]) -> None:
        """Left to its core, which widens the windows by itself."""

    def can_open_stream(self, engine: QuicEngine) -> bool:
        allowed: int = engine.max_concurrent_bidi_streams  # type: ignore[attr-defined]
        return engine.get_next_available_stream_id() // 4 < allowed

    def _allow_large_datagrams(self, configuration: Any, datagram_bytes: int) -> None:
        """Left to its core."""

    def _adapt(self, engine: Any, max_streams: int) -> QuicEngine:
        adapted: QuicEngine = engine
        return adapted


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
