"""Frames: payload length (4 bytes, big-endian), type (2 bytes, big-endian), payload. No I/O in here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from runtara_sdk.errors import ProtocolError

HEADER_SIZE = 6
"""Bytes before the payload."""

MAX_PAYLOAD_SIZE = 64 * 1024 * 1024
"""Largest payload of a frame in bytes."""

_HEADER = struct.Struct(">IH")


class FrameType(IntEnum):
    """What a frame carries. The servers and clients of this package use REQUEST and RESPONSE only."""

    REQUEST = 1
    RESPONSE = 2
    STREAM_START = 3
    STREAM_DATA = 4
    STREAM_END = 5
    ERROR = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """A type and its payload."""

    frame_type: FrameType
    payload: bytes


_FRAME_TYPES = {int(frame_type): frame_type for frame_type in FrameType}


def encode_frame(frame_type: FrameType, payload: bytes) -> bytes:
    """The bytes of a frame. Raises `ProtocolError` when the payload is larger than `MAX_PAYLOAD_SIZE`."""
    if len(payload) > MAX_PAYLOAD_SIZE:
        raise ProtocolError(
            f"a message of {len(payload)} bytes does not fit in a frame of at most {MAX_PAYLOAD_SIZE}; "
            "send less in one call"
        )
    return _HEADER.pack(len(payload), frame_type) + payload


class FrameDecoder:
    """Turns a stream of bytes, fed in pieces of any size, into frames.

    Memory is bounded by the caller: it holds what was fed and not yet taken, and a header that announces more than
    `max_payload_size` raises `ProtocolError` before any of that payload is awaited.
    """

    def __init__(self, max_payload_size: int = MAX_PAYLOAD_SIZE) -> None:
        self._max_payload_size = max_payload_size
        self._buffer: bytes | bytearray = b""

    @property
    def buffered_bytes(self) -> int:
        """Bytes fed and not taken yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Append received bytes."""
        if not self._buffer:
            self._buffer = data  # most frames come in one piece, which needs no buffer
        elif isinstance(self._buffer, bytes):
            self._buffer = bytearray(self._buffer)
            self._buffer += data
        else:
            self._buffer += data

    def next_frame(self) -> Frame | None:
        """Take the next frame, or None when more bytes are needed. Raises `ProtocolError` for a bad header."""
        buffer = self._buffer
        if len(buffer) < HEADER_SIZE:
            return None
        size, type_number = _HEADER.unpack_from(buffer)
        if size > self._max_payload_size:
            raise ProtocolError(f"a frame announces {size} bytes; at most {self._max_payload_size} are allowed")
        frame_type = _FRAME_TYPES.get(type_number)
        if frame_type is None:
            raise ProtocolError(f"a frame has the unknown type {type_number}")
        end = HEADER_SIZE + size
        if len(buffer) < end:
            return None
        if isinstance(buffer, bytes):
            # What follows goes into a buffer, whose head is removed without moving the rest.
            self._buffer = bytearray(buffer[end:]) if end < len(buffer) else b""
            return Frame(frame_type, buffer[HEADER_SIZE:end])
        with memoryview(buffer) as view:
            payload = bytes(view[HEADER_SIZE:end])
        del buffer[:end]
        return Frame(frame_type, payload)

    def take(self) -> bytes:
        """Take everything that was fed and not decoded: what follows the last frame on the stream."""
        data = bytes(self._buffer)
        self._buffer = b""
        return data

    def finish(self) -> None:
        """Say that the stream has ended. Raises `ProtocolError` when it ended inside a frame."""
        if self._buffer:
            raise ProtocolError(f"the stream ended inside a frame, after {len(self._buffer)} bytes of it")
