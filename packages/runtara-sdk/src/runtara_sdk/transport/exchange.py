"""One call from the side that makes it: its slot, the request, bytes that may follow it, and the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from runtara_sdk.errors import ProtocolError
from runtara_sdk.protocol.frame import FrameType
from runtara_sdk.transport.stream import INTERNAL_ERROR, Stream


async def take_slot(slots: asyncio.Semaphore, deadline: float) -> None:
    """Occupy one of a client's slots; release it after the call. Raises `TimeoutError` at the deadline."""
    if slots.locked():
        async with asyncio.timeout_at(deadline):
            await slots.acquire()
    else:
        await slots.acquire()


async def exchange(
    stream: Stream, request: bytes, chunks: AsyncIterable[bytes] | None, deadline: float, address: str
) -> bytes:
    """Send a request frame on a stream that was just opened, return the payload of the response, end the stream.

    Args:
        stream: of a connection to the server.
        request: the frame's bytes.
        chunks: what follows it, read as fast as the server takes it; None when nothing does.
        deadline: in seconds of the event loop's clock.
        address: of the server, for errors.

    Raises `DeadlineExceededError` or `TimeoutError` at the deadline, `ProtocolError` when the answer is none, and
    `TransportError` when the connection is lost.
    """
    complete = False
    try:
        stream.send(request, end=chunks is None)
        if chunks is not None:
            await _upload(stream, chunks, deadline)
        frame = await stream.read_frame(deadline)
        complete = True
    finally:
        if not complete and stream.is_alive:
            stream.reset(INTERNAL_ERROR)
        stream.release()
    if frame is None:
        raise ProtocolError(f"{address} ended the call without a response")
    if frame.frame_type is not FrameType.RESPONSE:
        raise ProtocolError(f"{address} answered with a frame of type {frame.frame_type.name}")
    return frame.payload


async def _upload(stream: Stream, chunks: AsyncIterable[bytes], deadline: float) -> None:
    async with asyncio.timeout_at(deadline):
        async for chunk in chunks:
            if stream.is_stopped:
                return
            await stream.write(chunk)
    stream.finish()
