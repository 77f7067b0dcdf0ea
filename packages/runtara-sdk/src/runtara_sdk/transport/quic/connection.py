"""A QUIC connection on the event loop: feeds datagrams to the engine, its events to streams, its timer to the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from runtara_sdk.errors import RuntaraError, TransportError
from runtara_sdk.transport.address import format_address
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.load import ConnectionLoad, unbounded_load
from runtara_sdk.transport.quic.accepted_streams import AcceptedStreams
from runtara_sdk.transport.quic.lazy_timer import LazyTimer
from runtara_sdk.transport.quic.library import QuicEngine, QuicLibrary
from runtara_sdk.transport.stream import NO_ERROR, NOT_PROCESSED, Stream

_logger = logging.getLogger(__name__)

_CRYPTO_ERRORS = range(0x100, 0x200)
_MAX_SCATTERED_STREAMS = 65_536
_CHECK_EVERY_BYTES = 256 * 1024

_ACKNOWLEDGE_WITHIN_SECONDS = 0.02
"""So long an acknowledgement waits for an answer to ride on; peers are told to allow 25 ms for it."""

_ACKNOWLEDGE_AT_ONCE_BYTES = 4 * 1024
"""Who sends more than this at a time needs acknowledgements to send on."""


class Connection:
    """One side of a connection; client and server tell it where datagrams go and what new streams are for.

    Attributes:
        peer_address: socket address of the other side.
        last_received_at: when the last datagram came, in seconds of the loop's clock.
        unanswered_since: when the first thing was sent that the peer has not reacted to since; None when it has.
        closed: resolved when the connection is over, with the reason in `close_error`.
    """

    def __init__(
        self,
        library: QuicLibrary,
        engine: QuicEngine,
        *,
        peer_address: Any,
        send: Callable[[bytes, Any], None],
        load: ConnectionLoad | None = None,
        on_stream: Callable[[Stream], None] | None = None,
        on_connection_id: Callable[[bytes, bool], None] | None = None,
        on_unanswered: Callable[[], None] | None = None,
        on_closed: Callable[[], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._library = library
        self._engine = engine
        self._send = send
        self.load = load or unbounded_load()
        self._on_stream = on_stream
        self._on_connection_id = on_connection_id
        self._on_unanswered = on_unanswered
        self._on_closed = on_closed
        self._streams: dict[int, Stream] = {}
        self._timer = LazyTimer(self._loop, self._on_timer)
        self._is_settled = False
        self._unacknowledged_bytes = 0
        self._acknowledge_at: float | None = None
        self._transmit_handle: asyncio.Handle | None = None
        self._heard: asyncio.Future[None] | None = None
        self._ping_count = 0
        self._received_when_checked = 0
        self._accepted: AcceptedStreams = AcceptedStreams()
        self.peer_address = peer_address
        self.waiting_writers: set[Stream] = set()
        self.connected: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.close_error: RuntaraError | None = None
        self.last_received_at = self._loop.time()
        self.unanswered_since: float | None = None
        library.set_read_position(engine, self._read_position)
        events = library.events
        self._event_handlers: dict[type, Callable[[Any], None]] = {
            events.StreamDataReceived: self._on_stream_data,
            events.StreamReset: self._on_stream_reset,
            events.StopSendingReceived: self._on_stop_sending,
            events.HandshakeCompleted: self._on_handshake_completed,
            events.ConnectionTerminated: self._on_terminated,
            events.ConnectionIdIssued: lambda event: self._note_connection_id(event.connection_id, True),
            events.ConnectionIdRetired: lambda event: self._note_connection_id(event.connection_id, False),
        }

    @property
    def peer(self) -> str:
        """Host and port of the other side."""
        return format_address(str(self.peer_address[0]), int(self.peer_address[1]))

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self.close_error is None

    @property
    def open_streams(self) -> int:
        """Number of calls in flight."""
        return len(self._streams)

    def connect(self, address: Any) -> None:
        """Start the handshake of a client."""
        self._engine.connect(address, now=self._loop.time())
        self.transmit()

    def receive(self, data: bytes, address: Any) -> None:
        """Process a datagram; call `end_batch` when the batch of them is over."""
        if self.close_error is not None:
            return
        now = self._loop.time()
        self.last_received_at = now
        self.unanswered_since = None
        self._unacknowledged_bytes += len(data)
        if self._heard is not None:
            self._heard.set_result(None)
            self._heard = None
        try:
            self._engine.receive_datagram(data, address, now=now)
        except Exception as error:  # noqa: BLE001 - an engine that cannot go on costs one connection
            self.abort(ConnectionLostError(f"the QUIC library failed: {error}"))
            return
        self._process_events()
        self._check_unordered()
        if self.waiting_writers:
            for stream in tuple(self.waiting_writers):
                stream.resume_writing()

    @property
    def can_open_stream(self) -> bool:
        """Whether the peer allows one more stream now."""
        return self.close_error is not None or self._library.can_open_stream(self._engine)

    def open_stream(self) -> Stream:
        """A new stream of this side."""
        if self.close_error is not None:
            raise TransportError(self.close_error.message)
        stream = Stream(self, self._engine.get_next_available_stream_id())
        self._streams[stream.stream_id] = stream
        self.load.open_stream()
        return stream

    def forget(self, stream: Stream) -> None:
        """The call is over: what still arrives for it is ignored, and the peer is told not to send more."""
        if self._streams.pop(stream.stream_id, None) is not None:
            self.load.close_stream()
            if not stream.has_ended and stream.is_alive:
                self._abort_stream(self._engine.stop_stream, stream.stream_id, NO_ERROR)

    def send_stream_data(self, stream_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001
        """Queue bytes of a stream; they leave at the end of this turn of the loop."""
        try:
            self._engine.send_stream_data(stream_id, data, end)
        except Exception as error:
            raise ConnectionLostError(f"the call is over: {error}") from error
        self.note_sent()
        self.transmit_soon()

    def bytes_to_send(self, stream_id: int) -> int:
        """Queued bytes of a stream."""
        return 0 if self.close_error is not None else self._library.bytes_to_send(self._engine, stream_id)

    def reset_stream(self, stream_id: int, code: int, *, stop: bool) -> None:
        """Abort a stream in both directions; harmless on one that has ended."""
        if self.close_error is not None:
            return
        self._abort_stream(self._engine.reset_stream, stream_id, code)
        self._library.discard_unsent(self._engine, stream_id)
        if stop:
            self._abort_stream(self._engine.stop_stream, stream_id, code)

    def announce_read(self, stream_id: int, position: int) -> None:
        """Tell the peer soon how far the readers of streams have come."""
        self.transmit_soon()

    def ping(self) -> None:
        """Ask the peer for a sign of life."""
        if self.close_error is not None:
            return
        self._ping_count += 1
        try:
            self._engine.send_ping(self._ping_count)
        except Exception as error:  # noqa: BLE001 - the peer has closed it, or the engine cannot go on
            self.abort(ConnectionLostError(f"the connection ended: {error}"))
            return
        self.note_sent()
        self.transmit_soon()

    def note_sent(self) -> None:
        """From now on the peer owes a reaction."""
        if self.unanswered_since is None:
            self.unanswered_since = self._loop.time()
            if self._on_unanswered is not None:
                self._on_unanswered()

    async def wait_stream_allowed(self) -> None:
        """Return when the peer allows one more stream, or the connection is over."""
        while self.close_error is None and not self.can_open_stream:
            # The peer allows a new one when it knows that this side has the end of an old one.
            self.transmit_soon()
            await self.wait_heard()

    async def wait_heard(self) -> None:
        """Return when the next datagram comes or the connection is over."""
        if self.close_error is None:
            if self._heard is None:
                self._heard = self._loop.create_future()
            await asyncio.shield(self._heard)

    def _check_unordered(self) -> None:
        """End the connection if it makes this side hold too much that waits for earlier bytes."""
        if self.close_error is not None:
            return
        received = self._library.received_bytes(self._engine)
        if received - self._received_when_checked < _CHECK_EVERY_BYTES:
            return
        self._received_when_checked = received
        if not self.load.hold_unordered(self._library.unordered_bytes(self._engine)):
            self._end("too many bytes wait for earlier ones")

    def end_batch(self) -> None:
        """See to it that what was received is acknowledged: with the next answer, if that may be awaited."""
        if self._transmit_handle is not None or self.close_error is not None:
            return
        if (
            not self._is_settled
            or self._unacknowledged_bytes > _ACKNOWLEDGE_AT_ONCE_BYTES
            or self._library.has_unsent(self._engine)
        ):
            # The batch that ends the handshake is answered at once, too.
            self._is_settled = self.connected.done()
            self.transmit_soon()
        elif self._acknowledge_at is None:
            self._acknowledge_at = self._loop.time() + _ACKNOWLEDGE_WITHIN_SECONDS
            self._timer.set(self._acknowledge_at)

    def transmit_soon(self) -> None:
        """Send what is due at the end of this turn of the loop, together with what else is queued by then."""
        if self._transmit_handle is None:
            self._transmit_handle = self._loop.call_soon(self.transmit)

    def transmit(self) -> None:
        """Send what is due now and set the timer."""
        if self._transmit_handle is not None:
            self._transmit_handle.cancel()
            self._transmit_handle = None
        if self.closed.done():
            return
        self._unacknowledged_bytes = 0
        self._acknowledge_at = None
        try:
            datagrams = self._engine.datagrams_to_send(now=self._loop.time())
        except Exception as error:  # noqa: BLE001 - an engine that cannot go on costs one connection
            self.abort(ConnectionLostError(f"the QUIC library failed: {error}"))
            return
        for data, address in datagrams:
            self._send(data, address)
        self._timer.set(self._engine.get_timer())

    def close(self) -> None:
        """Tell the peer goodbye and end every call."""
        self._end("the connection was closed by this side")

    def _end(self, reason: str) -> None:
        if not self.closed.done():
            try:
                self._engine.close(error_code=0)
            except Exception as error:  # noqa: BLE001 - it is going away in any case
                _logger.debug("closing a connection: %s", error)
            self.transmit()
            self.abort(ConnectionLostError(reason))

    def abort(self, error: RuntaraError) -> None:
        """End every call with `error`, telling the peer nothing."""
        if self.close_error is not None:
            return
        self.close_error = error
        # Now rather than when cycles are collected: it may hold megabytes.
        self._library.discard_buffers(self._engine)
        self._engine = _ENDED
        self._timer.cancel()
        streams = tuple(self._streams.values())
        self._streams.clear()
        for _ in streams:
            self.load.close_stream()
        self.load.end()
        for stream in streams:
            stream.fail(error)
        if not self.connected.done():
            self.connected.set_exception(error)
            self.connected.exception()
        if self._heard is not None:
            self._heard.set_result(None)
            self._heard = None
        self.closed.set_result(None)
        if self._on_closed is not None:
            self._on_closed()

    # Private

    def _abort_stream(self, abort: Callable[[int, int], None], stream_id: int, code: int) -> None:
        try:
            abort(stream_id, code)
        except Exception as error:  # noqa: BLE001 - the engines refuse this for streams that have ended
            _logger.debug("stream %d was not aborted: %s", stream_id, error)
        self.transmit_soon()

    def _read_position(self, stream_id: int) -> int | None:
        stream = self._streams.get(stream_id)
        return None if stream is None else stream.read_position

    def _on_timer(self, now: float) -> None:
        due = self._engine.get_timer()
        if due is not None and due <= now:
            try:
                self._engine.handle_timer(now=now)
            except Exception as error:  # noqa: BLE001 - an engine that cannot go on costs one connection
                self.abort(ConnectionLostError(f"the QUIC library failed: {error}"))
                return
            self._process_events()
        self.transmit()

    def _process_events(self) -> None:
        next_event = self._engine.next_event
        handlers = self._event_handlers
        while (event := next_event()) is not None:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)

    def _on_stream_data(self, event: Any) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            stream = self._accept(event.stream_id)
            if stream is None:
                return
        stream.feed(event.data, ended=event.end_stream)

    def _accept(self, stream_id: int) -> Stream | None:
        # Bit 0 is the initiator (0: client), bit 1 marks unidirectional streams, which nobody here uses. A peer cannot
        # reopen a stream: what comes for one that was forgotten is the tail of an abandoned call.
        if self._on_stream is None or stream_id & 0b11 or not self._accepted.add(stream_id // 4):
            return None
        if self._accepted.scattered > _MAX_SCATTERED_STREAMS:
            self._end("the peer leaves out too many streams")
            return None
        if not self.load.open_stream():
            self.reset_stream(stream_id, NOT_PROCESSED, stop=True)
            return None
        stream = Stream(self, stream_id)
        self._streams[stream_id] = stream
        self._on_stream(stream)
        return self._streams.get(stream_id)  # none when it was refused

    def _on_stream_reset(self, event: Any) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream.fail_by_reset(event.error_code)

    def _on_stop_sending(self, event: Any) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            if event.error_code == NO_ERROR:
                stream.stop_writing()
            else:
                stream.fail_by_reset(event.error_code)

    def _on_handshake_completed(self, event: Any) -> None:
        if not self.connected.done():
            self.connected.set_result(None)

    def _note_connection_id(self, connection_id: bytes, issued: bool) -> None:  # noqa: FBT001
        if self._on_connection_id is not None:
            self._on_connection_id(connection_id, issued)

    def _on_terminated(self, event: Any) -> None:
        reason = event.reason_phrase or f"code {event.error_code:#x}"
        if event.error_code in _CRYPTO_ERRORS and not self.connected.done():
            self.abort(
                TransportError(
                    f"the TLS handshake failed: {reason}; the client must trust the CA that signed the server's "
                    "certificate, and the server name must be in it",
                    code="TLS_ERROR",
                    retryable=False,
                )
            )
        else:
            self.abort(ConnectionLostError(f"the connection ended: {reason}"))


class _EndedEngine:
    """What is left of the engine of a connection that is over: whatever is asked of it, it does nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments, **options: None


_ENDED: Any = _EndedEngine()
