"""A local connection on the event loop: messages to streams, and the bytes of streams to messages."""

from __future__ import annotations

import asyncio
import select
from collections import OrderedDict, deque
from collections.abc import Callable

from runtara_sdk.errors import ProtocolError, RuntaraError, TransportError
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.load import ConnectionLoad, unbounded_load
from runtara_sdk.transport.local.framing import (
    MAX_CONTENT_BYTES,
    PREFACE,
    WINDOW_BYTES,
    Message,
    MessageDecoder,
    MessageKind,
    encode_code,
    encode_data,
    encode_window,
)
from runtara_sdk.transport.local.peer import Peer, peer_of
from runtara_sdk.transport.stream import INTERNAL_ERROR, NO_ERROR, NOT_PROCESSED, Stream

_HIGH_WATER_BYTES = 256 * 1024
"""So much the event loop holds for a peer before streams have to wait."""

_MOST_UNREAD_BYTES = 8 * 1024 * 1024
"""A peer that leaves so many bytes of short messages unread does not read at all."""

_MESSAGES_IN_A_TURN = 100
"""After so many messages of one peer the others have their turn."""

_WINDOW_SLACK_BYTES = MAX_CONTENT_BYTES
"""The tail of an answer is sent whatever the window says."""

_GOODBYE_SECONDS = 2.0
"""So long a connection that is closed may take to deliver what was sent before."""


class _Call:
    """A stream and what its two directions have come to."""

    __slots__ = ("announced", "ends", "limit", "queue", "queued", "received", "sent", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.queue: deque[memoryview] = deque()
        self.queued = 0
        self.ends = False
        self.sent = 0
        self.limit = WINDOW_BYTES
        self.received = 0
        self.announced = 0


class LocalConnection(asyncio.Protocol):
    """One side of a connection. Streams see it as they see one of the QUIC transport.

    Small messages go to the socket at once. What the socket does not take, or the peer's reader is not ready for,
    waits in the queue of its call; the calls take turns.

    Attributes:
        load: what the connection holds.
        waiting_writers: streams to be told when bytes have left.
        last_received_at: when the last bytes came, in seconds of the loop's clock.
        close_error: why the connection is over; None while it is open.
        peer_process: the process at the other end, once connected.
    """

    def __init__(
        self,
        *,
        load: ConnectionLoad | None = None,
        on_connected: Callable[[LocalConnection], None] | None = None,
        on_stream: Callable[[Stream], None] | None = None,
        on_closed: Callable[[LocalConnection], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_connected = on_connected
        self._on_stream = on_stream
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._goodbye: asyncio.TimerHandle | None = None
        self._decoder = MessageDecoder()
        self._calls: dict[int, _Call] = {}
        self._blocked: OrderedDict[int, _Call] = OrderedDict()
        self._last_call = 0
        self._may_write = True
        self._unread = 0
        self.load = load or unbounded_load()
        self.waiting_writers: set[Stream] = set()
        self.last_received_at = self._loop.time()
        self.close_error: RuntaraError | None = None
        self.peer_process = Peer()

    @property
    def peer(self) -> str:
        """The other side, as a log names it."""
        return str(self.peer_process)

    @property
    def is_open(self) -> bool:
        """Whether calls can be made."""
        return self.close_error is None and self._transport is not None

    @property
    def has_begun(self) -> bool:
        """Whether the peer has shown that it speaks this protocol."""
        return self._decoder.is_open

    @property
    def open_streams(self) -> int:
        """Number of calls in flight."""
        return len(self._calls)

    @property
    def has_news(self) -> bool:
        """Whether the peer has sent something, or left, that the event loop has had no turn to tell."""
        if self._transport is None:
            return False
        waiting = select.poll()
        waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def open_stream(self) -> Stream:
        """A new stream of this side."""
        if self.close_error is not None:
            raise TransportError(self.close_error.message)
        self._last_call += 1
        stream = Stream(self, self._last_call)
        self._calls[self._last_call] = _Call(stream)
        self.load.open_stream()
        return stream

    def close(self) -> None:
        """End every call, and the connection once what was sent has been delivered."""
        self._leave(ConnectionLostError("the connection was closed by this side"))

    def abort(self, error: RuntaraError) -> None:
        """End every call with `error` and drop the connection."""
        transport = self._transport
        self._end(error)
        if transport is not None:
            transport.abort()

    # What streams ask for

    def send_stream_data(self, stream_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001
        """Send bytes of a stream, or queue them."""
        call = self._calls.get(stream_id)
        if call is None or self._transport is None:
            raise ConnectionLostError("the call is over")
        size = len(data)
        if self._may_write and not call.queued and size <= MAX_CONTENT_BYTES and call.sent + size <= call.limit:
            call.sent += size
            if not self._transport.is_closing():
                self._transport.write(encode_data(stream_id, data, last=end))
            return
        if data:
            call.queue.append(memoryview(data))
            call.queued += size
        call.ends = end
        self._blocked.setdefault(stream_id, call)
        self._pump()

    def bytes_to_send(self, stream_id: int) -> int:
        """Queued bytes of a stream."""
        call = self._calls.get(stream_id)
        return 0 if call is None else call.queued

    def reset_stream(self, stream_id: int, code: int, *, stop: bool) -> None:
        """Give a stream up in both directions."""
        call = self._calls.get(stream_id)
        if call is not None:
            _discard(call)
            if call.stream.is_alive:  # else the peer has given it up
                self._write(encode_code(stream_id, MessageKind.RESET, code))

    def announce_read(self, stream_id: int, position: int) -> None:
        """Allow the peer to send on."""
        call = self._calls.get(stream_id)
        if call is not None:
            call.announced = position
            self._write(encode_window(stream_id, position))

    def forget(self, stream: Stream) -> None:
        """The call is over: its last bytes leave now, what still arrives for it is ignored."""
        call = self._calls.pop(stream.stream_id, None)
        if call is None:
            return
        self._blocked.pop(stream.stream_id, None)
        self.load.close_stream()
        if not stream.is_alive:
            return
        if call.queued > MAX_CONTENT_BYTES:
            # Nobody waits for all of that any more: the answer came before the end of the request.
            self._write(encode_code(stream.stream_id, MessageKind.RESET, INTERNAL_ERROR))
            return
        while call.queued or call.ends:
            data = _take(call, MAX_CONTENT_BYTES)
            last = call.ends and not call.queued
            call.ends = call.ends and not last
            self._write(encode_data(stream.stream_id, data, last=last))
        if not stream.has_ended:
            self._write(encode_code(stream.stream_id, MessageKind.STOP, NO_ERROR))

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce this side."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream socket
        self._transport = transport
        transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self.peer_process = peer_of(transport.get_extra_info("socket"))
        transport.write(PREFACE)
        if self._on_connected is not None:
            self._on_connected(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the peer."""
        if self.close_error is not None:
            return
        self.last_received_at = self._loop.time()
        try:
            messages = self._decoder.feed(data)
        except ProtocolError as error:
            self.abort(error)
            return
        if self.load.hold_unordered(self._decoder.buffered_bytes):
            self._act_on(messages, 0)
        else:
            self.abort(TransportError("too many bytes wait for the rest of their message"))

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._may_write = False

    def resume_writing(self) -> None:
        """The socket takes bytes again."""
        self._may_write = True
        self._release_unread()
        self._pump()

    def eof_received(self) -> None:
        """The peer says no more: it awaits nothing either, though it may not have read what was sent before."""
        self._leave(ConnectionLostError("the other side closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        if self._goodbye is not None:
            self._goodbye.cancel()
        reason = "the other side closed the connection" if exc is None else f"the connection was lost: {exc}"
        self._end(ConnectionLostError(reason))

    # Private

    def _leave(self, error: RuntaraError) -> None:
        """End every call with `error`, and the connection once what was sent has been delivered."""
        transport = self._transport
        self._end(error)
        if transport is not None:
            transport.close()
            self._goodbye = self._loop.call_later(_GOODBYE_SECONDS, transport.abort)

    def _end(self, error: RuntaraError) -> None:
        if self.close_error is not None:
            return
        self.close_error = error
        self._transport = None
        calls = tuple(self._calls.values())
        self._calls.clear()
        self._blocked.clear()
        for _ in calls:
            self.load.close_stream()
        self._release_unread()
        self.load.end()
        for call in calls:
            call.stream.fail(error)
        if self._on_closed is not None:
            self._on_closed(self)

    def _act_on(self, messages: list[Message], first: int) -> None:
        """Take messages from the `first` on; when they are many, some in each turn of the loop, and no more come."""
        end = first + _MESSAGES_IN_A_TURN
        try:
            for message in messages[first:end] if len(messages) > _MESSAGES_IN_A_TURN else messages:
                if self.close_error is not None:
                    return
                self._receive(message)
        except ProtocolError as error:
            self.abort(error)
        transport = self._transport
        if transport is None:
            return
        if end < len(messages):
            transport.pause_reading()
            self._loop.call_soon(self._act_on, messages, end)
        elif first:
            transport.resume_reading()

    def _receive(self, message: Message) -> None:
        number, kind, content = message
        call = self._calls.get(number)
        if call is None:
            call = self._accept(number, kind)
            if call is None:
                return
        stream = call.stream
        if kind <= MessageKind.LAST:
            if stream.has_ended:
                raise ProtocolError("the other side sends on after the end of a call")
            call.received += len(content)
            if call.received > call.announced + WINDOW_BYTES + _WINDOW_SLACK_BYTES:
                raise ProtocolError("the other side sends more than it was allowed to")
            stream.feed(content, ended=kind is MessageKind.LAST)
            if stream.is_alive:
                stream.announce_read()
        elif kind is MessageKind.RESET:
            _discard(call)
            stream.fail_by_reset(message.code)
        elif kind is MessageKind.WINDOW:
            limit = message.position + WINDOW_BYTES
            if limit > call.limit:
                call.limit = limit
                if call.queued:
                    self._blocked.setdefault(number, call)
                    self._pump()
        elif message.code == NO_ERROR:
            _discard(call)
            stream.stop_writing()
        else:
            stream.fail_by_reset(message.code)

    def _accept(self, number: int, kind: MessageKind) -> _Call | None:
        # Numbers grow: what comes for a lower one is the tail of a call that was given up.
        if self._on_stream is None or number <= self._last_call or kind > MessageKind.LAST:
            return None
        self._last_call = number
        if not self.load.open_stream():
            self._write(encode_code(number, MessageKind.RESET, NOT_PROCESSED))
            return None
        call = self._calls[number] = _Call(Stream(self, number))
        self._on_stream(call.stream)
        return self._calls.get(number)  # none when it was refused

    def _write(self, message: bytes) -> None:
        """Send a short message whether or not the socket takes it now."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(message)
        if not self._may_write:
            self._unread += len(message)
            if not self.load.hold(len(message)) or self._unread > _MOST_UNREAD_BYTES:
                self.abort(ConnectionLostError("the other side does not read what is sent to it"))

    def _release_unread(self) -> None:
        self.load.release(self._unread)
        self._unread = 0

    def _pump(self) -> None:
        """Send what is queued, a message of each call in turn, as long as socket and readers take it."""
        transport = self._transport
        while transport is not None and not transport.is_closing() and self._may_write and self._blocked:
            number, call = self._blocked.popitem(last=False)
            if not (call.queued or call.ends):
                continue
            allowed = min(MAX_CONTENT_BYTES, call.limit - call.sent)
            if call.queued and allowed <= 0:
                continue  # its reader's next position brings it back
            data = _take(call, allowed)
            last = call.ends and not call.queued
            call.ends = call.ends and not last
            call.sent += len(data)
            if call.queued:
                self._blocked[number] = call
            transport.write(encode_data(number, data, last=last))
            call.stream.resume_writing()


def _take(call: _Call, size: int) -> memoryview | bytes:
    """Remove at most `size` bytes from the head of a queue."""
    if not call.queue:
        return b""
    head = call.queue[0]
    if len(head) <= size:
        call.queue.popleft()
    else:
        call.queue[0] = head[size:]
        head = head[:size]
    call.queued -= len(head)
    return head


def _discard(call: _Call) -> None:
    call.queue.clear()
    call.queued = 0
    call.ends = False
