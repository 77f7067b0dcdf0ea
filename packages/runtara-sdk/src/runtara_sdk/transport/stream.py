"""One call: a bidirectional stream of frames and bytes on a connection of either kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from runtara_sdk.errors import DeadlineExceededError, ProtocolError, RuntaraError, TransportError
from runtara_sdk.protocol.frame import Frame, FrameDecoder, encode_frame
from runtara_sdk.transport.errors import ConnectionLostError
from runtara_sdk.transport.load import ConnectionLoad

NO_ERROR = 0
"""Stop code: the answer is there, the rest of the request is not needed."""
INTERNAL_ERROR = 1
"""Reset code: the handler failed or the call was given up; the request may have been processed."""
PROTOCOL_VIOLATION = 2
"""Reset code: what arrived was not a request."""
NOT_PROCESSED = 3
"""Reset code: the call was refused before it was looked at."""

ANNOUNCE_EVERY_BYTES = 256 * 1024
"""How far a reader may go on before the sender is told."""

_MAX_UNREAD_BYTES = 80 * 1024 * 1024
_UNSENT_LIMIT_BYTES = 1024 * 1024
_SMALL_ANSWER_BYTES = 4 * 1024


class StreamCarrier(Protocol):
    """What a stream needs of the connection that carries it.

    Attributes:
        load: what the connection holds.
        waiting_writers: streams to be told, by `resume_writing`, when bytes have left.
    """

    load: ConnectionLoad
    waiting_writers: set[Stream]

    @property
    def peer(self) -> str:
        """The other side, as a log names it."""

    def send_stream_data(self, stream_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001
        """Queue bytes of a stream; `end` says that they are the last."""

    def bytes_to_send(self, stream_id: int) -> int:
        """Bytes of a stream that are queued and have not left."""

    def reset_stream(self, stream_id: int, code: int, *, stop: bool) -> None:
        """Give a stream up in both directions; `stop` when the peer may still be sending."""

    def announce_read(self, stream_id: int, position: int) -> None:
        """Let the peer know that the reader of a stream has come so far, in bytes from its beginning."""

    def forget(self, stream: Stream) -> None:
        """The call is over for this side."""


class Stream:
    """The two directions of a call. Made by a connection; one task reads and one writes."""

    __slots__ = (
        "_announced",
        "_connection",
        "_decoder",
        "_ended",
        "_error",
        "_finished",
        "_gone",
        "_held",
        "_load",
        "_opening",
        "_reader",
        "_reading_frame",
        "_received",
        "_server_task",
        "_stopped",
        "_writer",
        "stream_id",
    )

    def __init__(self, connection: StreamCarrier, stream_id: int) -> None:
        self._connection = connection
        self._load = connection.load
        self._held = 0
        self._opening: list[Frame | None] = []
        self._server_task: asyncio.Task[None] | None = None
        self.stream_id = stream_id
        self._decoder = FrameDecoder()
        self._received = 0
        self._announced = 0
        self._ended = False
        self._finished = False
        self._stopped = False
        self._reading_frame = False
        self._error: RuntaraError | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    @property
    def peer(self) -> str:
        """The other side, as a log names it."""
        return self._connection.peer

    @property
    def is_finished(self) -> bool:
        """Whether this side has said all it will say."""
        return self._finished

    @property
    def has_ended(self) -> bool:
        """Whether the other side has said all it will say."""
        return self._ended

    @property
    def is_stopped(self) -> bool:
        """Whether the other side needs no more of what this side sends."""
        return self._stopped

    @property
    def is_alive(self) -> bool:
        """Whether the other side still takes part in the call."""
        return self._error is None

    @property
    def read_position(self) -> int:
        """Bytes taken by the reader: everything while it waits for a frame, whose size is bounded."""
        return self._received if self._reading_frame else self._received - self._decoder.buffered_bytes

    async def read_frame(self, deadline: float | None = None) -> Frame | None:
        """The next frame, or None at the end of the stream.

        Args:
            deadline: in seconds of the event loop's clock; `DeadlineExceededError` when it passes.

        Raises `ProtocolError` for bytes that are no frame, `TransportError` when the connection is lost.
        """
        if self._opening:
            return self._opening.pop()
        self._reading_frame = True
        try:
            while True:
                frame = self._decoder.next_frame()
                if frame is not None:
                    return frame
                if self._error is not None:
                    raise self._error
                if self._ended:
                    self._decoder.finish()
                    return None
                self.announce_read()
                await self._wait_readable(deadline)
        finally:
            self._reading_frame = False

    async def await_opening(self, deadline: float | None = None) -> None:
        """Return once the first frame is there, for `read_frame` to return it; raises what that would."""
        self._opening.append(await self.read_frame(deadline))

    async def read_chunks(self, deadline: float | None = None) -> AsyncIterator[bytes]:
        """Everything that follows the frames read so far, as it arrives, up to the end of the stream.

        The sender runs ahead of the consumer by a bounded number of bytes.
        """
        while True:
            if self._decoder.buffered_bytes:
                chunk = self._decoder.take()
                released = min(len(chunk), self._held)
                self._held -= released
                self._load.release(released)
                self.announce_read()
                yield chunk
            elif self._error is not None:
                raise self._error
            elif self._ended:
                return
            else:
                await self._wait_readable(deadline)

    async def write_frame(self, frame: Frame, *, end: bool = True, deadline: float | None = None) -> None:
        """Send a frame; `end` finishes this side, without which the peer waits for more."""
        await self.write(encode_frame(frame.frame_type, frame.payload), end=end, deadline=deadline)

    async def write(self, data: bytes, *, end: bool = False, deadline: float | None = None) -> None:
        """Queue bytes, and return once no more than a bounded number of this stream's bytes is waiting."""
        self.send(data, end=end)
        await self._wait_until_unsent(_UNSENT_LIMIT_BYTES, deadline)
        if self._error is not None:
            raise self._error

    async def drain(self, deadline: float | None = None) -> None:
        """Return once what was sent has left, unless it is little; or once the call is over.

        What is still waiting at the deadline is given up, so that a peer that does not read cannot leave it here.
        """
        if self._held <= _SMALL_ANSWER_BYTES:
            return
        try:
            await self._wait_until_unsent(_SMALL_ANSWER_BYTES, deadline)
        except DeadlineExceededError:
            self.reset(INTERNAL_ERROR)
            raise

    async def _wait_until_unsent(self, limit_bytes: int, deadline: float | None) -> None:
        while (
            self._error is None and not self._stopped and self._connection.bytes_to_send(self.stream_id) > limit_bytes
        ):
            self._writer = asyncio.get_running_loop().create_future()
            self._connection.waiting_writers.add(self)
            try:
                await _wait(self._writer, deadline, "sending")
            finally:
                self._connection.waiting_writers.discard(self)
                self._writer = None

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Queue bytes whatever is queued already. Raises `TransportError` when the call is over."""
        if self._error is not None:
            raise self._error
        if self._finished:
            raise ProtocolError("this side of the call has ended; nothing can be sent any more")
        if not self._stopped:
            self._held += len(data)
            if not self._load.hold(len(data)):
                self.reset(INTERNAL_ERROR)
                raise TransportError("too many bytes wait for readers that do not read: the call was given up")
            self._connection.send_stream_data(self.stream_id, data, end)
        self._finished = end

    def finish(self) -> None:
        """Say that this side sends no more. Calling again, or on a lost connection, does nothing."""
        if not self._finished and self._error is None:
            self._finished = True
            if not self._stopped:
                self._connection.send_stream_data(self.stream_id, b"", True)

    def reset(self, code: int) -> None:
        """Give the call up in both directions."""
        self._finished = True
        self._connection.reset_stream(self.stream_id, code, stop=not self._ended)
        self.fail(TransportError("the call was given up"))

    def release(self) -> None:
        """The call is over for this side."""
        self._connection.forget(self)
        self._load.release(self._held)
        self._held = 0

    def end_with_caller(self, task: asyncio.Task[None] | None) -> None:
        """Cancel `task` once nobody awaits its answer any more; None cancels nothing from now on."""
        self._server_task = task
        if task is not None and self._error is not None:
            task.cancel()

    async def wait_disconnected(self) -> None:
        """Return once the other side has given the call up or its connection is gone: nobody awaits the answer."""
        if self._error is None:
            if self._gone is None:
                self._gone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._gone)

    # What the connection tells

    def feed(self, data: bytes, *, ended: bool) -> None:
        """Take received bytes."""
        if data:
            self._received += len(data)
            self._decoder.feed(data)
            self._held += len(data)
            if not self._load.hold(len(data)) or self._decoder.buffered_bytes > _MAX_UNREAD_BYTES:
                # Who has taken the request may have acted on it.
                is_untouched = self._received == self._decoder.buffered_bytes
                self._decoder.take()
                self.reset(NOT_PROCESSED if is_untouched else INTERNAL_ERROR)
                return
        if ended:
            self._ended = True
        self._wake(self._reader)

    def fail(self, error: RuntaraError) -> None:
        """The call is over; whoever waits gets `error`."""
        if self._error is None:
            self._error = error
            self._wake(self._reader)
            self._wake(self._writer)
            self._wake(self._gone)
            if self._server_task is not None:
                self._server_task.cancel()

    def fail_by_reset(self, code: int) -> None:
        """The other side gave the call up."""
        if code == PROTOCOL_VIOLATION:
            self.fail(ProtocolError("the peer refused what was sent: it is not a call of its protocol"))
        elif code == NOT_PROCESSED:
            self.fail(TransportError("the peer is overloaded and refused the call"))
        else:
            self.fail(ConnectionLostError(f"the peer gave the call up (code {code}); its log tells why"))

    def stop_writing(self) -> None:
        """The other side needs no more of what this side sends."""
        self._stopped = True
        self._wake(self._writer)

    def resume_writing(self) -> None:
        """Bytes have left: look again whether there is room."""
        self._wake(self._writer)

    def announce_read(self) -> None:
        """Let the peer know how far the reader has come, when that is news."""
        position = self.read_position
        if position - self._announced >= ANNOUNCE_EVERY_BYTES:
            self._announced = position
            self._connection.announce_read(self.stream_id, position)

    # Private

    async def _wait_readable(self, deadline: float | None) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await _wait(self._reader, deadline, "waiting for the peer")
        finally:
            self._reader = None

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


async def _wait(waiter: asyncio.Future[Any], deadline: float | None, activity: str) -> None:
    if deadline is None:
        await waiter
        return
    timer = waiter.get_loop().call_at(deadline, _expire, waiter, activity)
    try:
        await waiter
    finally:
        timer.cancel()


def _expire(waiter: asyncio.Future[Any], activity: str) -> None:
    if not waiter.done():
        waiter.set_exception(DeadlineExceededError(f"the deadline passed while {activity}"))
