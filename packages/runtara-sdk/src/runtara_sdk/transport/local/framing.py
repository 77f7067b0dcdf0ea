"""Messages on a local connection. No I/O in here.

A connection begins with a preface from both sides. Then come messages: length of the content (4 bytes, big-endian),
number of the call (8 bytes), kind (1 byte), content. The side that dialled opens calls, with growing numbers.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from runtara_sdk.errors import ProtocolError

PREFACE = b"runtara-local/1\n"
"""The first bytes of each side."""

MAX_CONTENT_BYTES = 64 * 1024
"""Largest content of a message; longer data is sent in several, so that other calls come in between."""

WINDOW_BYTES = 4 * 1024 * 1024
"""How far a sender may run ahead of the position that the reader has announced."""

_HEADER = struct.Struct(">IQB")
_CODE = struct.Struct(">I")
_POSITION = struct.Struct(">Q")


class MessageKind(IntEnum):
    """What a message says of its call."""

    DATA = 0
    """More bytes of the stream."""
    LAST = 1
    """Bytes of the stream, after which none will come."""
    RESET = 2
    """The sender gives the call up; the content is a code (4 bytes)."""
    STOP = 3
    """The sender needs no more bytes; the content is a code (4 bytes)."""
    WINDOW = 4
    """The reader has come to a position (8 bytes)."""


_KINDS = {int(kind): kind for kind in MessageKind}


class Message(NamedTuple):
    """One message; the content of RESET and STOP is a code, that of WINDOW a position."""

    call: int
    kind: MessageKind
    content: bytes

    @property
    def code(self) -> int:
        """The code of a RESET or STOP."""
        return int(_CODE.unpack(self.content)[0])

    @property
    def position(self) -> int:
        """The position of a WINDOW, in bytes from the beginning of the stream."""
        return int(_POSITION.unpack(self.content)[0])


_CONTENT_SIZES = {MessageKind.RESET: _CODE.size, MessageKind.STOP: _CODE.size, MessageKind.WINDOW: _POSITION.size}


def encode_data(call: int, data: bytes | memoryview, *, last: bool) -> bytes:
    """Bytes of a stream, at most `MAX_CONTENT_BYTES` of them."""
    return b"".join((_HEADER.pack(len(data), call, last), data))


def encode_code(call: int, kind: MessageKind, code: int) -> bytes:
    """A RESET or STOP."""
    return _HEADER.pack(_CODE.size, call, kind) + _CODE.pack(code)


def encode_window(call: int, position: int) -> bytes:
    """A WINDOW."""
    return _HEADER.pack(_POSITION.size, call, MessageKind.WINDOW) + _POSITION.pack(position)


class MessageDecoder:
    """Turns received bytes, fed in pieces of any size, into messages. It holds less than one message."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether the preface has come."""
        return self._is_open

    @property
    def buffered_bytes(self) -> int:
        """Bytes of a message that is not complete."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises `ProtocolError` for bytes that are none."""
        if self._rest:
            data = self._rest + data
        messages: list[Message] = []
        offset = 0 if self._is_open else self._take_preface(data)
        if not self._is_open:
            self._rest = data
            return messages
        available = len(data)
        while available - offset >= _HEADER.size:
            size, call, kind_number = _HEADER.unpack_from(data, offset)
            kind = _KINDS.get(kind_number)
            if kind is None:
                raise ProtocolError(f"a message of the unknown kind {kind_number} came")
            if size > MAX_CONTENT_BYTES or _CONTENT_SIZES.get(kind, size) != size:
                raise ProtocolError(f"a message of kind {kind.name} announces {size} bytes, which it cannot have")
            begin = offset + _HEADER.size
            if available - begin < size:
                break
            offset = begin + size
            messages.append(Message(call, kind, data[begin:offset]))
        self._rest = data[offset:]
        return messages

    def _take_preface(self, data: bytes) -> int:
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ProtocolError("the other side does not speak the local protocol of Runtara, or another version of it")
        if len(data) < len(PREFACE):
            return 0
        self._is_open = True
        return len(PREFACE)
