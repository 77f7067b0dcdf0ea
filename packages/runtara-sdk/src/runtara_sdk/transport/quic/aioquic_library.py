"""aioquic as the transport uses it: flow control that follows the readers, acknowledgements that wait for a ride."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtara_sdk.transport.quic.library import RECEIVE_WINDOW_BYTES, LibraryName, QuicEngine, QuicLibrary

_MANY_STREAMS = 16


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
