"""The calls of a server, whichever way they come in: a handler for each, bounded in number and in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from runtara_sdk.errors import DeadlineExceededError, ProtocolError, TransportError
from runtara_sdk.protocol.frame import FrameType, encode_frame
from runtara_sdk.transport.complaints import Complaints
from runtara_sdk.transport.settings import ServerSettings
from runtara_sdk.transport.stream import INTERNAL_ERROR, NOT_PROCESSED, PROTOCOL_VIOLATION, Stream

_logger = logging.getLogger(__name__)

RequestStream = Stream
"""What a handler gets: a call."""

StreamHandler = Callable[[RequestStream], Awaitable[None]]
"""Serves one call. The stream is finished when it returns, and reset when it raises."""

PayloadHandler = Callable[[bytes], Awaitable[bytes | None]]
"""Answers the payload of a request with that of a response; None answers nothing."""


UploadHandler = Callable[[bytes, RequestStream], Awaitable[bytes | None]]
"""The same, where raw bytes may follow the request."""


class CallServer:
    """Runs the handler of each call in a task of its own.

    Attributes:
        complaints: for warnings about clients.
    """

    def __init__(self, handler: StreamHandler, settings: ServerSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._seconds = settings.request_deadline_ms / 1000
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(settings.max_handlers) if settings.max_handlers else None
        self._closing = False
        self.complaints = Complaints(_logger)

    @property
    def is_closing(self) -> bool:
        """Whether new calls are refused."""
        return self._closing

    def start(self, stream: Stream) -> None:
        """Serve a call that a client has just begun."""
        if self._closing:
            stream.reset(NOT_PROCESSED)
            stream.release()
            return
        task = self._loop.create_task(self._serve(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, grace: float) -> None:
        """Refuse new calls, give those in flight `grace` seconds, then end them."""
        self._closing = True
        if self._tasks and grace > 0:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, stream: Stream) -> None:
        try:
            # Only who has said what it wants occupies a handler.
            await stream.await_opening(self._loop.time() + self._seconds)
            if self._slots is None:
                await self._handler(stream)
            else:
                async with self._slots:
                    if stream.is_alive:
                        await self._handler(stream)
            stream.finish()
            await stream.drain(self._loop.time() + self._seconds)
        except ProtocolError as error:
            self.complaints.warn("a call from %s is dropped: %s", stream.peer, error)
            stream.reset(PROTOCOL_VIOLATION)
        except (TransportError, DeadlineExceededError) as error:
            _logger.info("a call from %s was given up: %s", stream.peer, error)
            stream.reset(INTERNAL_ERROR)
        except asyncio.CancelledError:
            stream.reset(INTERNAL_ERROR)
            raise
        except Exception:
            _logger.exception("the handler of a call from %s failed", stream.peer)
            stream.reset(INTERNAL_ERROR)
        finally:
            stream.release()


def payload_handler(respond: PayloadHandler, settings: ServerSettings) -> StreamHandler:
    """Make a stream handler from a function that turns the payload of a request into that of its response.

    `respond` is cancelled when the caller has given the call up or is gone.
    """

    async def respond_alone(payload: bytes, _stream: RequestStream) -> bytes | None:
        return await respond(payload)

    return upload_handler(respond_alone, settings)


def upload_handler(respond: UploadHandler, settings: ServerSettings) -> StreamHandler:
    """The same from a function that also gets the stream, on which raw bytes may follow the request."""
    return partial(_respond, respond, settings.request_deadline_ms / 1000)


async def _respond(respond: UploadHandler, seconds: float, stream: RequestStream) -> None:
    clock = asyncio.get_running_loop().time
    payload = await read_request(stream, clock() + seconds)
    stream.end_with_caller(asyncio.current_task())
    try:
        response = await respond(payload, stream)
    finally:
        stream.end_with_caller(None)
    if response is not None:
        answer = encode_frame(FrameType.RESPONSE, response)
        del response
        stream.send(answer, end=True)
        # What waits to be sent is held once, by the connection; see `Stream.drain`.
        del answer, payload
        await stream.drain(clock() + seconds)


async def read_request(stream: RequestStream, deadline: float | None = None) -> bytes:
    """The payload of the request frame that opens a call. Raises `ProtocolError` when something else comes."""
    frame = await stream.read_frame(deadline)
    if frame is None:
        raise ProtocolError("the stream ended before a request came")
    if frame.frame_type is not FrameType.REQUEST:
        raise ProtocolError(f"a request was expected, a frame of type {frame.frame_type.name} came")
    return frame.payload
